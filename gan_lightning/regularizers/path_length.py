"""Path length: equal steps in a generator's styles should change the image by equal amounts."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan_lightning.contracts import Duel, DuelStep, Role
from gan_lightning.errors import UserError
from gan_lightning.networks.styles import StyleGenerator
from gan_lightning.regularizers.base import Regularizer
from gan_lightning.regularizers.running import RunningMean


class PathLength(Regularizer, nn.Module):
    """weight * E (|J^T y| - a)^2, J = d(image) / d(styles), y ~ N(0, 1 / pixels), a: running mean.

    The norm is the square root of the mean over layers of each layer's squared norm. Karras et al. 2019, arXiv
    1912.04958.

    decay: weight of the new value in the running mean `mean`. It is in the checkpoint, is equal in all processes, and
        is updated once per batch, also under gradient accumulation.
    batch_shrink: every batch_shrink-th sample of the batch is used.
    """

    role: ClassVar[Role] = "generator"
    mean: Tensor

    def __init__(self, weight: float = 2.0, every: int = 4, decay: float = 0.01, batch_shrink: int = 2) -> None:
        nn.Module.__init__(self)
        Regularizer.__init__(self, weight, every)
        if not 0 < decay <= 1 or batch_shrink < 1:
            raise UserError(
                f"regularizer.path_length got decay={decay} and batch_shrink={batch_shrink}: decay lies in (0, 1], and "
                "batch_shrink is at least 1."
            )
        self.decay, self.batch_shrink = decay, batch_shrink
        self.register_buffer("mean", torch.zeros(()))
        self._running = RunningMean()

    def check(self, name: str, duel: Duel) -> None:
        """Raise UserError if the generator has no styles."""
        super().check(name, duel)
        with_styles(duel.generator, name)

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the mean squared distance of the path lengths to their running mean, after updating it."""
        lengths = self._lengths(step)
        self.mean.copy_(self._running.moved(self.mean, step.average(lengths.mean()), self.decay, step))
        return (lengths - self.mean).square().mean()

    def _lengths(self, step: DuelStep) -> Tensor:
        """Return the path lengths `(N / batch_shrink,)`."""
        generator, keep = with_styles(step.generator, "path_length"), slice(None, None, self.batch_shrink)
        labels = step.fake_labels[keep] if generator.num_classes and step.fake_labels is not None else None
        further = {name: values[keep] for name, values in step.generator_inputs.items()}
        with torch.autocast(step.latents.device.type, enabled=False):
            given: dict[str, Any] = {"labels": labels, "exact": True, **further}
            styles = step.run(generator, step.latents[keep], method="styles", **given)
            images = step.run(generator, styles, method="synthesis", exact=True)
            return path_lengths(images, styles, _noise(step, images.shape[1:])[keep])


def with_styles(generator: nn.Module, name: str) -> StyleGenerator:
    """Return `generator`; raise UserError if it has no styles, which the regulariser called `name` needs."""
    if not isinstance(generator, StyleGenerator):
        raise UserError(
            f"regularizer={name} needs a generator with styles, which {type(generator).__name__} has not: use "
            "model=stylegan2, or drop the regulariser."
        )
    return generator


def _noise(step: DuelStep, shape: torch.Size) -> Tensor:
    return step.draw("path length", lambda n, stream: torch.randn(n, *shape, generator=stream, device=stream.device))


def path_lengths(images: Tensor, styles: Tensor, noise: Tensor) -> Tensor:
    """Return the norms `(N,)` of J^T y with respect to `styles` `(N, layers, style_dim)`, differentiable.

    noise: y times the square root of the number of pixels, N(0, 1), in the images' shape `(N, C, H, W)`.
    """
    projection = (images * noise).sum() / math.sqrt(images.shape[2] * images.shape[3])
    (gradients,) = torch.autograd.grad(projection, styles, create_graph=True)
    return gradients.square().sum(2).mean(1).sqrt()
