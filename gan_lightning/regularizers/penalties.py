"""Penalties on the discriminator's gradient with respect to its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from gan_lightning.contracts import DuelStep
from gan_lightning.errors import check_range
from gan_lightning.regularizers.base import Regularizer


def input_gradients(logits: Tensor, inputs: Tensor) -> Tensor:
    """Return d(logits)/d(inputs) for each sample, `(N, features)`; it can be differentiated again.

    The gradient of the sum of all logits contains each sample's gradient, if the network processes samples
    independently. If a discriminator judges packs of images (PacGAN), a sample is a pack.
    """
    with torch.autocast(inputs.device.type, enabled=False):  # it would also lower the precision of this backward
        (gradients,) = torch.autograd.grad(logits.float().sum(), inputs, create_graph=True)
    return gradients.reshape(len(logits), -1)


class ZeroCenteredPenalty(Regularizer):
    """(weight / 2) E |grad D(x)|^2 on real or on fake images. Mescheder et al. 2018, arXiv 1801.04406."""

    side: ClassVar[str]
    bounds_slope = True

    def penalty(self, step: DuelStep) -> Tensor:
        """Return half the mean squared gradient norm."""
        images, logits = step.differentiable(self.side)
        return input_gradients(logits, images).square().sum(1).mean() / 2


class R1(ZeroCenteredPenalty):
    """(weight / 2) E |grad D(x)|^2 on real images; weight is the paper's gamma."""

    # Batch norm in D couples the samples here too, but it is allowed, since published work combines the two. Gradient
    # penalties refuse it, because they compare the norm for each sample with a target.
    side = "real"
    differentiates = frozenset({"real"})

    def __init__(self, weight: float = 10.0, every: int = 1, schedule: Callable[[float], float] | None = None) -> None:
        super().__init__(weight, every, schedule)


class R2(ZeroCenteredPenalty):
    """(weight / 2) E |grad D(G(z))|^2 on generated images; weight is the paper's gamma."""

    side = "fake"
    differentiates = frozenset({"fake"})

    def __init__(self, weight: float = 10.0, every: int = 1, schedule: Callable[[float], float] | None = None) -> None:
        super().__init__(weight, every, schedule)


class GradientPenalty(Regularizer):
    """weight * E (|grad D(x)| - 1)^2 at points between real and fake. Gulrajani et al. 2017, arXiv 1704.00028."""

    bounds_slope = True
    forbids_batch_norm = True

    def __init__(self, weight: float = 10.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the mean squared distance of the gradient's norm to 1, with one point per sample."""
        return (norms(step, self.points(step)) - 1).square().mean()

    def points(self, step: DuelStep) -> Tensor:
        """Return the points at which the gradient is computed."""
        return interpolate(step)


class OneSidedGradientPenalty(GradientPenalty):
    """weight * E max(0, |grad D(x)| - 1)^2 between real and fake: WGAN-LP. Petzka et al. 2017, arXiv 1709.08894."""

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the mean squared excess of the gradient's norm over 1."""
        return (norms(step, self.points(step)) - 1).relu().square().mean()


class MaxGradientPenalty(GradientPenalty):
    """weight * max |grad D(x)|^2 over points between real and fake. Zhou et al. 2019, arXiv 1902.05687.

    The maximum is over the samples of one process; with several processes the penalty is the mean of their maxima.
    """

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the largest squared gradient norm."""
        return norms(step, self.points(step)).square().max()


class DRAGAN(GradientPenalty):
    """weight * E (|grad D(x)| - 1)^2 around the real images only. Kodali et al. 2017, arXiv 1705.07215.

    Points are x + alpha * delta, with alpha ~ U[0, 1) per sample and delta = noise * std(batch) * U[0, 1) per pixel.

    noise: 0.5 in the authors' code.
    """

    forbids_batch_norm = False  # the paper's networks have it

    def __init__(self, weight: float = 10.0, noise: float = 0.5, every: int = 1) -> None:
        super().__init__(weight, every)
        check_range("regularizer.dragan", 0, noise=noise)
        self.noise = noise

    def points(self, step: DuelStep) -> Tensor:
        """Return the perturbed real images."""
        real = step.shown("real").detach().float()
        mean = step.average(real.mean())
        deviation = step.average((real - mean).square().mean()).sqrt()
        alpha = step.uniform("dragan alpha", *[1] * (real.ndim - 1))
        return real + alpha * self.noise * deviation * step.uniform("dragan noise", *real.shape[1:])


def norms(step: DuelStep, points: Tensor) -> Tensor:
    """Return |grad D| at each of `points` `(N, ...)`: `(N,)`, differentiable in D's parameters."""
    points = points.requires_grad_()
    gradients = input_gradients(step.discriminate(points, step.labels).logits, points)
    return (gradients.square().sum(1) + 1e-12).sqrt()  # the square root has an infinite slope at 0


def interpolate(step: DuelStep) -> Tensor:
    """Return epsilon x + (1 - epsilon) G(z) of D's (augmented) inputs, with one epsilon ~ U[0, 1) per sample."""
    real, fake = step.shown("real").detach().float(), step.shown("fake").detach().float()
    return torch.lerp(fake, real, step.uniform("interpolation", *[1] * (real.ndim - 1)))
