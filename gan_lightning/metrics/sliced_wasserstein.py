"""Sliced Wasserstein distance between patches of real and generated images, at each level of a Laplacian pyramid."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gan_lightning.errors import UserError, check_range
from gan_lightning.inference.sampling import CHUNK, rows
from gan_lightning.metrics.base import LOCAL, SampleMetric, Setting
from gan_lightning.metrics.subset import RandomSubset
from gan_lightning.streams import generator

PATCH = 7  # pixels
SMALLEST = 16  # pixels of the coarsest level
AT_ONCE = 32  # directions at a time; more would only need more memory


class SlicedWasserstein(SampleMetric):
    """Sliced Wasserstein distance of 7x7 patches, times 1,000, as in ProGAN (Karras et al. 2017, arXiv 1710.10196).

    Each image becomes a Laplacian pyramid whose coarsest level has at least 16 pixels (smaller images have one level).
    Patches are cut at random places of each level, and each channel is standardised over the set. The patches of both
    sets are projected onto random directions and sorted; the mean difference is the distance of the level. `swd` is the
    mean over the levels. This is own code: no library has this metric.

    images: largest number of each set, chosen at random; both sets are equally large. They are kept as uint8.
    patches: number for each image and level. directions: number of random directions. Takes uint8 images `(N, C, H, W)`
    of at least 7 pixels. A level needs up to 3 GB for 16,384 images; an RGB patch has 147 numbers.
    """

    consumes: ClassVar[tuple[str, ...]] = ("images",)
    names: ClassVar[tuple[str, ...]] = ("swd",)
    protocol: ClassVar[str] = "split"
    marked: ClassVar[bool] = False
    full_state_update = False

    real_images: Tensor  # (n, C, H, W) uint8, in a random order

    def __init__(self, setting: Setting, images: int = 16_384, patches: int = 128, directions: int = 512) -> None:
        super().__init__(**LOCAL)
        check_range("metrics.swd", 1, images=images, patches=patches, directions=directions)
        side = min(setting.image_shape[1:], default=0)
        if side < PATCH:
            raise UserError(
                f"metrics=[swd] compares patches of {PATCH}x{PATCH} pixels, and the images have {side}: leave swd out."
            )
        self.sides = level_sides(side)
        self.names = ("swd", *(f"swd_{side}px" for side in self.sides))  # type: ignore[misc]
        self.images, self.patches, self.directions = images, patches, directions
        self.place = torch.device("cpu")  # device of the images; they are compared there
        self.add_state("real_images", torch.empty(0, *setting.image_shape, dtype=torch.uint8), dist_reduce_fx=None)
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._reals, self._fakes = RandomSubset(self.images, "swd"), RandomSubset(self.images, "swd")

    def update(self, images: Tensor, real: bool = False) -> None:
        """Take uint8 images `(N, C, H, W)`."""
        self.place = images.device
        (self._reals if real else self._fakes).add(images)

    def finish_real(self) -> None:
        """Keep the real images that were chosen."""
        (self.real_images,) = self._reals.rows()
        self._reals = RandomSubset(self.images, "swd")

    def compute(self) -> tuple[Tensor, ...]:
        """Return the mean distance over the levels, then that of each level, finest first; all times 1,000."""
        (fakes,) = self._fakes.rows()
        count = min(len(fakes), len(self.real_images))
        directions = self._directions(fakes.shape[1])
        values = []
        for level in range(len(self.sides)):
            real, fake = (self._descriptors(images[:count], level) for images in (self.real_images, fakes))
            values.append(1000 * sliced_wasserstein(real, fake, directions))
        return torch.stack(values).mean(), *values

    def _directions(self, channels: int) -> Tensor:
        drawn = torch.randn(self.directions, channels * PATCH**2, generator=generator(0, "swd", "directions"))
        return (drawn / drawn.norm(dim=1, keepdim=True)).to(self.place)

    def _descriptors(self, images: Tensor, level: int) -> Tensor:
        """Return the standardised patches of a level, `(n * patches, C * 49)` float32."""
        parts = []
        for start in range(0, len(images), 256):
            chunk = images[start : start + 256].to(self.place).float()
            parts.append(self._cut(laplacian_level(chunk, level, len(self.sides)), start, level))
        patches = torch.cat(parts)
        for channel in range(patches.shape[1]):  # in place, since this is the largest tensor
            std, mean = torch.std_mean(patches[:, channel], correction=0)
            patches[:, channel].sub_(mean).div_(torch.where(std > 0, std, torch.ones_like(std)))
        return patches.flatten(1)

    def _cut(self, images: Tensor, start: int, level: int) -> Tensor:
        """Return patches `(n * patches, C, 7, 7)` of images `(n, C, h, w)` that are numbered from `start`."""

        def draw(block: int) -> Tensor:
            return torch.rand(CHUNK, 2, self.patches, generator=generator(0, "swd", "patches", level, block))

        places = rows(start, start + len(images), draw).to(images.device)
        height, width = images.shape[2:]
        top, left = (places[:, 0] * (height - PATCH + 1)).long(), (places[:, 1] * (width - PATCH + 1)).long()
        windows = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
        return windows[torch.arange(len(images), device=images.device)[:, None], :, top, left].flatten(0, 1)


def level_sides(side: int) -> list[int]:
    """Return the sides of the pyramid's levels, finest first: each half of the one before, down to 16 pixels."""
    sides = [side]
    while sides[-1] // 2 >= SMALLEST:
        sides.append(sides[-1] // 2)
    return sides


def laplacian_level(images: Tensor, level: int, levels: int) -> Tensor:
    """Return one level of the Laplacian pyramid of float images `(N, C, H, W)`; the last one keeps the low frequencies.

    Burt and Adelson 1983: images are halved with a binomial filter of 5 pixels; each level is the difference to the
    next coarser one.
    """
    for _ in range(level):
        images = _halved(images)
    return images if level == levels - 1 else images - _doubled(_halved(images), images.shape[2:])


def sliced_wasserstein(first: Tensor, second: Tensor, directions: Tensor) -> Tensor:
    """Return the mean Wasserstein-1 distance of `(N, D)` and `(N, D)` projected onto unit vectors `(M, D)`, float64."""
    distances = []
    for part in directions.split(AT_ONCE):
        apart = _sorted(part @ first.T).sub_(_sorted(part @ second.T)).abs_()
        distances.append(apart.double().mean(dim=1))
    return torch.cat(distances).mean().cpu()


def _sorted(rows: Tensor) -> Tensor:
    """Return `(M, N)` with sorted rows."""
    if rows.device.type != "cpu":
        return rows.sort(dim=1).values
    return torch.from_numpy(np.sort(rows.numpy(), axis=1))  # many times faster than torch.sort on a CPU


def _halved(images: Tensor) -> Tensor:
    return _filtered(images, stride=2)


def _doubled(images: Tensor, size: torch.Size) -> Tensor:
    """Put zeros between the pixels, as many as `size` (height, width) asks for, and filter."""
    spread = images.new_zeros(*images.shape[:2], *size)
    spread[:, :, ::2, ::2] = images
    return 4 * _filtered(spread)


def _filtered(images: Tensor, stride: int = 1) -> Tensor:
    line = torch.tensor([1.0, 4, 6, 4, 1], device=images.device) / 16
    kernel = torch.outer(line, line).expand(images.shape[1], 1, 5, 5)
    padded = functional.pad(images, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(padded, kernel, stride=stride, groups=images.shape[1])
