"""Penalties on the discriminator's gradient with respect to its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from gan_lightning.regularizers.base import Regularizer

if TYPE_CHECKING:
    from gan_lightning.training.step import Step


def input_gradients(logits: Tensor, inputs: Tensor) -> Tensor:
    """Return d(logits)/d(inputs) for each sample, `(N, features)`, itself differentiable.

    Summing first gives every sample its own gradient, as long as the network treats samples independently.
    """
    with torch.autocast(inputs.device.type, enabled=False):  # it would lower this backward's precision as well
        (gradients,) = torch.autograd.grad(logits.float().sum(), inputs, create_graph=True)
    return gradients.flatten(1)


class ZeroCenteredPenalty(Regularizer):
    """(weight / 2) E |grad D(x)|^2 on one of the two sides. Mescheder et al. 2018, arXiv 1801.04406."""

    side: ClassVar[str]

    def penalty(self, step: Step) -> Tensor:
        """Return half the mean squared gradient norm."""
        images, logits = step.differentiable(self.side)
        return input_gradients(logits, images).square().sum(1).mean() / 2


class R1(ZeroCenteredPenalty):
    """(weight / 2) E |grad D(x)|^2 on real images; weight is the paper's gamma."""

    side = "real"
    differentiates = frozenset({"real"})

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)


class R2(ZeroCenteredPenalty):
    """(weight / 2) E |grad D(G(z))|^2 on generated images; weight is the paper's gamma."""

    side = "fake"
    differentiates = frozenset({"fake"})

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)


class GradientPenalty(Regularizer):
    """weight * E (|grad D(x)| - 1)^2 at points between real and fake. Gulrajani et al. 2017, arXiv 1704.00028."""

    forbids_batch_norm = True

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def penalty(self, step: Step) -> Tensor:
        """Return the mean squared distance of the gradient's norm to 1, one interpolation a sample."""
        between = interpolate(step).requires_grad_()
        logits = step.discriminate(between, step.labels).logits
        squared = input_gradients(logits, between).square().sum(1)
        return ((squared + 1e-12).sqrt() - 1).square().mean()  # the root's slope at 0 is infinite


def interpolate(step: Step) -> Tensor:
    """Return epsilon x + (1 - epsilon) G(z), with one epsilon ~ U[0, 1) a sample."""
    real, fake = step.real.detach().float(), step.fake.detach().float()
    return torch.lerp(fake, real, step.uniform("interpolation", *[1] * (real.ndim - 1)))
