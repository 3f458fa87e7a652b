"""Refinements of sampling: truncation, standing statistics, rejection, Langevin steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_lightning.inference.sampling import CHUNK, rows
from gan_lightning.networks.base import Generator
from gan_lightning.streams import generator as random_stream


def truncate_latents(z: Tensor, bound: float, distribution: str, start: int, seed: int) -> Tensor:
    """Return latents `(N, dim)` of the samples from `start` on; values outside +-bound are drawn again inside.

    Brock et al. 2018, arXiv 1809.11096. The new value is drawn directly from the truncated distribution (by its inverse
    distribution function), which equals drawing until the value fits. distribution: "normal" or "uniform".
    """

    def draw(block: int) -> Tensor:
        stream = random_stream(seed, "truncation", block)
        return torch.rand(CHUNK, z.shape[1], generator=stream, dtype=torch.float64) * 2 - 1

    unit = rows(start, start + len(z), draw)  # on the CPU: not every device has float64
    within = unit * bound
    if distribution == "normal":
        within = torch.erfinv(unit * math.erf(bound / math.sqrt(2))) * math.sqrt(2)
    return torch.where(z.abs() <= bound, z, within.to(z.dtype).clamp(-bound, bound).to(z.device))


def truncate_styles(styles: Tensor, average: Tensor, psi: float, layers: int | None = None) -> Tensor:
    """Return styles `(N, num_styles, style_dim)`, the first `layers` (None: all) scaled by psi about the average.

    Karras et al. 2018, arXiv 1812.04948. average: `(style_dim,)`.
    """
    truncated = average + psi * (styles - average) if psi != 1 else styles
    if layers is None:
        return truncated
    return torch.cat([truncated[:, :layers], styles[:, layers:]], 1)


def has_statistics(module: nn.Module) -> bool:
    """Return whether `module` is a batch norm that keeps running statistics."""
    return isinstance(module, _BatchNorm) and module.running_mean is not None


@torch.no_grad()
def with_standing_statistics(network: Generator, batches: Iterable[tuple[Tensor, ...]]) -> Generator:
    """Return a copy of `network` whose batch norms have the mean statistics of `batches` of inputs.

    Brock et al. 2018, arXiv 1809.11096: the running statistics of training lag behind the weights, and even more with
    averaged weights.
    """
    standing = deepcopy(network).eval()
    for module in standing.modules():
        if has_statistics(module):
            assert isinstance(module, _BatchNorm)
            module.reset_running_stats()
            module.momentum = None  # None: the mean over all batches
            module.train()
    run: Callable[..., Tensor] = standing
    for inputs in batches:
        run(*inputs)
    return standing.eval()


NEAREST = 1e-6  # smallest distance of a logit to the ceiling, which keeps the log-odds finite


class Rejection:
    """Accepts a sample with probability exp(logit - ceiling): p / (M q) if D is optimal for the logistic loss.

    Azadi et al. 2018, arXiv 1810.06758. The ceiling log M is the largest of `logits` `(N,)`, from a burn-in.

    percentile: accepts more samples, with probability sigmoid(F - gamma): F are the paper's log-odds, gamma is their
        percentile in the burn-in. None: gamma 0, the exact distribution.
    """

    def __init__(self, logits: Tensor, percentile: float | None = None) -> None:
        self.ceiling = logits.max()
        self.gamma = logits.new_zeros(())
        if percentile is not None:
            self.gamma = self._log_odds(logits).quantile(percentile / 100)

    def probability(self, logits: Tensor) -> Tensor:
        """Return the acceptance probabilities `(N,)` of samples with these logits."""
        return torch.sigmoid(self._log_odds(logits) - self.gamma)

    def _log_odds(self, logits: Tensor) -> Tensor:
        below = (logits - self.ceiling).clamp(max=-NEAREST)
        return below - torch.log(-torch.expm1(below))


def walk(
    z: Tensor,
    log_density: Callable[[Tensor], Tensor],
    steps: int,
    step_size: float,
    noise: Callable[[int], Tensor],
    bound: float | None = None,
) -> Tensor:
    """Return z `(N, dim)` after `steps` of z + step_size / 2 * gradient + sqrt(step_size) * noise.

    Che et al. 2020, arXiv 2003.06060: the log-density of z is that of the prior plus the discriminator's logit.

    log_density: z -> `(N,)`, up to a constant. noise: step number -> `(N, dim)` from N(0, 1).
    bound: latents outside +-bound are reflected, for bounded priors.
    """
    for step in range(steps):
        with torch.enable_grad():
            at = z.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(log_density(at).sum(), at)
        z = z + step_size / 2 * gradient + step_size**0.5 * noise(step)
        z = z if bound is None else reflect(z, bound)
    return z


def reflect(z: Tensor, bound: float) -> Tensor:
    """Return z reflected at -bound and bound until it lies between them."""
    return bound - ((z + bound).remainder(4 * bound) - 2 * bound).abs()
