"""The weak augmentation for consistency regularisation."""

from __future__ import annotations

from torch import Tensor

from gan_lightning.augment.base import Augment
from gan_lightning.augment.diffaugment import integer
from gan_lightning.augment.moves import flip, shift
from gan_lightning.errors import check_range
from gan_lightning.streams import Draw


class FlipAndShift(Augment):
    """Mirrors half of the images, and shifts all by a few pixels with reflection at the edge.

    Zhang et al. 2019, arXiv 1910.12027.

    ratio: largest shift as a share of the size; the paper has 4 of 32 pixels.
    mirror: whether to mirror; not for digits and letters.
    """

    def __init__(self, ratio: float = 0.125, mirror: bool = True) -> None:
        super().__init__()
        check_range("augment", 0, 1, ratio=ratio)
        self.ratio, self.mirror = ratio, mirror

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the augmented images, differentiable in `images`."""
        mirror, right, down = draw.uniform("flip and shift", 3).unbind(1)
        height, width = (int(size * self.ratio) for size in images.shape[2:])
        images = shift(images, integer(right, -width, width), integer(down, -height, height), reflect=True)
        return flip(images, mirror < 0.5) if self.mirror else images
