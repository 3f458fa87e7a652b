"""Adaptive discriminator augmentation: Karras et al. 2020, arXiv 2006.06676."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gan_lightning.augment.adaptive import Adaptive
from gan_lightning.augment.moves import affine, flip, per_sample, quarter_turns, shift
from gan_lightning.augment.spectrum import BANDS, amplify, balanced_gains, recolor
from gan_lightning.contracts import Duel
from gan_lightning.errors import UserError
from gan_lightning.streams import Draw

OCTAVE = math.log(2)


class Chances:
    """Decides which operations of a group a sample gets: each with probability p, one for all or `(operations,)`."""

    def __init__(self, draw: Draw, group: str, p: Tensor, operations: int) -> None:
        places, chances = draw.uniform(group, 2, operations).unbind(1)
        chosen = chances < p
        self.chosen, self.any = chosen.unbind(1), chosen.any(1)
        self.uniform = places.unbind(1)
        self.normal = draw.normal(f"{group} strengths", operations).unbind(1)

    def where(self, operation: int, value: Tensor, otherwise: float) -> Tensor:
        """Return `value` `(N,)` where the operation is applied to the sample, else `otherwise`."""
        return torch.where(self.chosen[operation], value, otherwise)

    def factor(self, operation: int, octaves: float) -> Tensor:
        """Return a log-normal factor with the given standard deviation in octaves, else 1."""
        return self.where(operation, torch.exp(self.normal[operation] * (octaves * OCTAVE)), 1.0)

    def angle(self, operation: int) -> Tensor:
        """Return a uniform angle in radians, else 0."""
        return self.where(operation, (self.uniform[operation] * 2 - 1) * math.pi, 0.0)

    def apply(self, changed: Tensor, images: Tensor) -> Tensor:
        """Return the changed images where any operation is applied; the other images stay bit-identical."""
        return torch.where(per_sample(self.any, images), changed, images)


def blit(images: Tensor, draw: Draw, p: Tensor) -> Tensor:
    """Mirror, rotate by 90 degrees, and shift by whole pixels up to an eighth, with reflection at the edge."""
    chances = Chances(draw, "blit", p, 4)
    images = flip(images, chances.chosen[0] & (chances.uniform[0] < 0.5))
    images = quarter_turns(images, chances.where(1, (chances.uniform[1] * 4).floor(), 0.0))
    height, width = images.shape[2:]
    right = ((chances.uniform[2] * 2 - 1) * width / 8).round()
    down = ((chances.uniform[3] * 2 - 1) * height / 8).round()
    return shift(images, chances.where(2, right, 0.0), chances.where(2, down, 0.0), reflect=True)


def geometry(images: Tensor, draw: Draw, p: Tensor) -> Tensor:
    """Scale, rotate, stretch along any axis, and shift by fractions of a pixel."""
    once = 1 - (1 - p).sqrt()  # for each of two rotations, so that at least one has p
    chances = Chances(draw, "geometry", torch.stack([p, once, p, once, p, torch.zeros_like(p)]), 6)
    scale, stretch = chances.factor(0, 0.2), chances.factor(2, 0.2)
    matrix = rotation(chances.angle(1)) @ torch.diag_embed(torch.stack([1 / stretch, stretch], 1))
    matrix = of_shape(matrix @ rotation(chances.angle(3)) / scale[:, None, None], *images.shape[2:])
    # An eighth of the size; the size is 2 units.
    by = torch.stack([chances.where(4, chances.normal[i] / 4, 0.0) for i in (4, 5)], 1)[:, :, None]
    return chances.apply(affine(images, torch.cat([matrix, matrix @ by], 2)), images)


def rotation(angle: Tensor) -> Tensor:
    """Return `(N, 2, 2)` matrices that rotate by `angle` `(N,)`."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)


def of_shape(matrix: Tensor, height: int, width: int) -> Tensor:
    """Return a linear map of pixels `(N, 2, 2)` as one of positions in [-1, 1]^2; for a square they are the same."""
    if height == width:
        return matrix
    (xx, xy), (yx, yy) = (row.unbind(1) for row in matrix.unbind(1))
    return torch.stack([torch.stack([xx, xy * (height / width)], 1), torch.stack([yx * (width / height), yy], 1)], 1)


def color(images: Tensor, draw: Draw, p: Tensor) -> Tensor:
    """Change brightness, contrast, the sign of luma, hue and saturation."""
    chances = Chances(draw, "color", p, 5)
    brightness = chances.where(0, chances.normal[0] * 0.2, 0.0)
    invert = chances.chosen[2] & (chances.uniform[2] < 0.5)
    changed = recolor(images, brightness, chances.factor(1, 0.5), invert, chances.angle(3), chances.factor(4, 1.0))
    return chances.apply(changed, images)


def band_filter(images: Tensor, draw: Draw, p: Tensor) -> Tensor:
    """Amplify or attenuate octaves of the spectrum."""
    chances = Chances(draw, "filter", p, BANDS)
    gains = balanced_gains(torch.stack([chances.factor(band, 1.0) for band in range(BANDS)], 1))
    return chances.apply(amplify(images, gains), images)


def noise(images: Tensor, draw: Draw, p: Tensor) -> Tensor:
    """Add noise with standard deviation |N(0, 0.1^2)|."""
    chances = Chances(draw, "noise", p, 1)
    deviation = per_sample(chances.normal[0].abs() * 0.1, images)
    return chances.apply(images + deviation * draw.normal("noise", *images.shape[1:]), images)


def cutout(images: Tensor, draw: Draw, p: Tensor) -> Tensor:
    """Set a square of half the image's side to zero; it may extend over the edge."""
    chances = Chances(draw, "cutout", p, 2)
    across, down = (
        ((torch.arange(size, device=images.device) + 0.5) / size - centre[:, None]).abs() >= 0.25
        for size, centre in ((images.shape[3], chances.uniform[0]), (images.shape[2], chances.uniform[1]))
    )
    kept = down[:, :, None] | across[:, None, :] | ~chances.chosen[0][:, None, None]
    return images * kept[:, None]


GROUPS: dict[str, Callable[[Tensor, Draw, Tensor], Tensor]] = {
    "blit": blit,
    "geometry": geometry,
    "color": color,
    "filter": band_filter,
    "noise": noise,
    "cutout": cutout,
}


class ADA(Adaptive):
    """Augments with a probability p that is adapted to overfitting of the discriminator. Karras et al. 2020,
    2006.06676.

    The operations and their strengths are those of the paper. Its wavelet filters are replaced: by a bicubic warp with
    2 x 2 samples per pixel, and by octave bands from binomial filters.

    groups: groups of operations, in the order in which they are applied; "blit", "geometry", "color" as in the paper's
        experiments, or also "filter", "noise", "cutout". Raises UserError for others.
    p, target, interval, kimg, schedule: see Adaptive.
    """

    def __init__(
        self,
        groups: Sequence[str] = ("blit", "geometry", "color"),
        p: float = 0.0,
        target: float | None = 0.6,
        interval: int = 4,
        kimg: float = 500.0,
        schedule: Callable[[float], float] | None = None,
    ) -> None:
        super().__init__(p, target, interval, kimg, schedule)
        if isinstance(groups, str) or any(name not in GROUPS for name in groups):
            raise UserError(f"augment.groups={groups} is not known: it is a list out of {', '.join(GROUPS)}.")
        self.groups = list(groups)

    def check(self, duel: Duel) -> None:
        """Raise UserError for images that cannot be augmented, such as images that are not square."""
        super().check(duel)
        height, width = duel.generator.image_shape[1:]
        if "blit" in self.groups and height != width:
            others = ",".join(name for name in self.groups if name != "blit")
            raise UserError(
                f"augment.groups: blit turns images by right angles, and images of {height}x{width} are not square: "
                f"set augment.groups=[{others}] (data.mirror=true flips them), or a square data.image_size."
            )

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the augmented images, differentiable in `images`; images without an operation stay bit-identical."""
        for name in self.groups:
            images = GROUPS[name](images, draw, self.p)
        return images
