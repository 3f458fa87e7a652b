"""Discriminator-driven Langevin sampling: latents walk to where the discriminator finds the images real."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


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

    log_density: z -> `(N,)`, up to a constant. noise: number of the step -> `(N, dim)` from N(0, 1).
    bound: latents beyond +-bound are reflected, for priors that end there.
    """
    for step in range(steps):
        with torch.enable_grad():
            at = z.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(log_density(at).sum(), at)
        z = z + step_size / 2 * gradient + step_size**0.5 * noise(step)
        z = z if bound is None else reflect(z, bound)
    return z


def reflect(z: Tensor, bound: float) -> Tensor:
    """Return z folded into [-bound, bound] as by mirrors there."""
    return bound - ((z + bound).remainder(4 * bound) - 2 * bound).abs()
