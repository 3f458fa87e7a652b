"""What an augmentation is: images to images, differentiable, with a random draw of its own for each sample."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gan_lightning.contracts import DuelStep
from gan_lightning.errors import UserError
from gan_lightning.streams import Draw


class Augment(nn.Module):
    """Base of the augmentations: `forward(images (N, C, H, W) in about [-1, 1], draw)` -> images of the same shape.

    What training steers (a probability, a noise level) is a 0-d buffer, changed between iterations only.

    images_only: it makes no sense for points in the plane.
    """

    images_only: ClassVar[bool] = True

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the augmented images, differentiable by `images`."""
        raise NotImplementedError

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raise UserError where images of `image_shape` cannot be augmented."""
        if self.images_only and len(image_shape) != 3:
            raise UserError(
                f"augment={type(self).__name__.lower()} works on images, and these are points in the plane: use "
                "augment=none or augment=instance_noise."
            )

    def real(self, step: DuelStep) -> Tensor:
        """Return what passes for the real images of `step`, before `forward`: the batch's."""
        return step.batch_images

    def begin(self, images_seen: int, total_images: float) -> None:
        """Prepare an iteration: `images_seen` of the run's `total_images` (infinite where its length is not known)."""

    def observe(self, step: DuelStep) -> None:
        """Read from a step of the discriminator what steers the augmentation."""

    def finish(self, iteration: int, images: int) -> None:
        """End `iteration`, counted from 0, which showed `images` real images over all processes."""

    def scalars(self) -> dict[str, Tensor]:
        """Return 0-d tensors to log, by name."""
        return {}
