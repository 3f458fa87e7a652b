"""LOGAN: in training, latents take one gradient step that increases D(G(z)) before the generator uses them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gan_lightning.errors import UserError


class LatentOptimization:
    """z' = z + step_size g / (damping + |g|^2), g = dD(G(z))/dz: a damped natural-gradient step.

    Wu, Donahue, Balduzzi, Simonyan and Lillicrap 2019, arXiv 1912.00953. Both players' gradients flow through the
    step, and both losses get weight * E |z' - z|^2. Uniform latents, as in the paper, stay in their range. InfoGAN's
    codes do not change.

    damping: None uses the plain gradient step z + step_size g.
    share: share of the batch that takes the step; the rest stays as drawn.
    """

    def __init__(
        self, step_size: float = 0.9, damping: float | None = 5.0, share: float = 0.8, weight: float = 300.0
    ) -> None:
        if min(step_size, weight) < 0 or not 0 <= share <= 1 or (damping is not None and damping <= 0):
            raise UserError(
                f"latents got step_size={step_size}, damping={damping}, share={share} and weight={weight}: damping is "
                "above 0 or null, share lies in [0, 1], and the others are at least 0."
            )
        self.step_size, self.damping, self.share, self.weight = step_size, damping, share, weight

    def __call__(
        self, latents: Tensor, score: Callable[[Tensor], Tensor], uniform: Tensor, bound: float | None = None
    ) -> Tensor:
        """Return z' `(N, latent_dim)`, differentiable in everything that `score` depends on.

        score: latents -> logits, independently for each sample.
        uniform: U[0, 1) numbers `(N, 1)`; they select the samples that take the step.
        bound: largest absolute value of a latent, None for none.
        """
        leaf = latents.detach().requires_grad_()
        with torch.autocast(leaf.device.type, enabled=False):  # it would lower this backward's precision as well
            (gradient,) = torch.autograd.grad(score(leaf).float().sum(), leaf, create_graph=True)
        step = self.step_size * gradient
        if self.damping is not None:
            step = step / (self.damping + gradient.square().sum(1, keepdim=True))
        moved = latents + step * (uniform < self.share)
        return moved if bound is None else moved.clamp(-bound, bound)

    def cost(self, latents: Tensor, drawn: Tensor) -> Tensor:
        """Return weight * E |latents - drawn|^2, which both roles minimise."""
        return self.weight * (latents - drawn).square().sum(1).mean()
