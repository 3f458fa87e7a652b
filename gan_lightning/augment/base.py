"""The base class of augmentations: images to images, differentiable, random for each sample."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gan_lightning.contracts import Duel, DuelStep
from gan_lightning.errors import UserError
from gan_lightning.streams import Draw


class Augment(nn.Module):
    """Base class of augmentations: `forward(images (N, C, H, W) in about [-1, 1], draw)` -> images of the same shape.

    Values that change in training (a probability, a noise level) are 0-d buffers and change only between iterations.

    images_only: whether it is only for images, not for 2-D points.
    """

    images_only: ClassVar[bool] = True

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the augmented images, differentiable in `images`."""
        raise NotImplementedError

    def check(self, duel: Duel) -> None:
        """Raise UserError if this cannot augment the images of `duel`."""
        if self.images_only and duel.makes_points:
            raise UserError(
                f"augment={self.name} changes images, and model=mlp2d makes points in the plane: use augment=none or "
                "augment=instance_noise."
            )

    @property
    def name(self) -> str:
        """Name of the option on the command line."""
        return type(self).__name__.lower()

    def real(self, step: DuelStep) -> Tensor:
        """Return the images of `step` that are used as real ones, before `forward`; here the batch's."""
        return step.batch_images

    def begin(self, images_seen: int, total_images: float) -> None:
        """Prepare an iteration: `images_seen` of the run's `total_images` (infinite if the length is unknown)."""

    def observe(self, step: DuelStep) -> None:
        """Collect the values to which the augmentation is adapted from a discriminator step."""

    def finish(self, iteration: int, images: int) -> None:
        """End `iteration` (counted from 0), in which all processes together used `images` real images."""

    def scalars(self) -> dict[str, Tensor]:
        """Return 0-d tensors to log, by name."""
        return {}
