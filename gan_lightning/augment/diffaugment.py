"""DiffAugment: Zhao et al. 2020, arXiv 2006.10738."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_lightning.augment.base import Augment
from gan_lightning.augment.moves import per_sample, shift
from gan_lightning.errors import UserError
from gan_lightning.streams import Draw


def color(images: Tensor, draw: Draw) -> Tensor:
    """Change brightness by U(-0.5, 0.5), saturation by a factor of U(0, 2), contrast by one of U(0.5, 1.5)."""
    brightness, saturation, contrast = (per_sample(u, images) for u in draw.uniform("color", 3).unbind(1))
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def translation(images: Tensor, draw: Draw) -> Tensor:
    """Shift by up to an eighth of the size in both directions, with zero padding."""
    right, down = draw.uniform("translation", 2).unbind(1)
    height, width = (int(size / 8 + 0.5) for size in images.shape[2:])
    return shift(images, integer(right, -width, width), integer(down, -height, height), reflect=False)


def cutout(images: Tensor, draw: Draw) -> Tensor:
    """Set a square of half the image's side to zero; it may extend over the edge, equally on all sides."""
    across, down = draw.uniform("cutout", 2).unbind(1)
    kept = _outside(down, images.shape[2])[:, :, None] | _outside(across, images.shape[3])[:, None, :]
    return images * kept[:, None]


def integer(uniform: Tensor, low: int, high: int) -> Tensor:
    """Map U[0, 1) numbers to integers from `low` to `high`, both included."""
    return low + (uniform * (high - low + 1)).floor()


def _outside(uniform: Tensor, size: int) -> Tensor:
    """Return bool `(N, size)`: positions outside an interval of half the size; `uniform` `(N,)` gives its centre."""
    half = int(size / 2 + 0.5)
    centre = integer(uniform, 0, size - half % 2)
    place = torch.arange(size, device=uniform.device) - (centre[:, None] - half // 2)
    return (place < 0) | (place >= half)


OPERATIONS = {"color": color, "translation": translation, "cutout": cutout}


class DiffAugment(Augment):
    """Colour, translation and cutout of every image, always on. Zhao et al. 2020, arXiv 2006.10738.

    policy: names of the operations, in order; an empty one is the identity. Raises UserError for others.
    """

    def __init__(self, policy: Sequence[str] = ("color", "translation", "cutout")) -> None:
        super().__init__()
        unknown = [name for name in policy if name not in OPERATIONS]
        if unknown or isinstance(policy, str):
            raise UserError(f"augment.policy={policy} is not known: it is a list out of {', '.join(OPERATIONS)}.")
        self.policy = list(policy)

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the augmented images, differentiable in `images`."""
        for name in self.policy:
            images = OPERATIONS[name](images, draw)
        return images
