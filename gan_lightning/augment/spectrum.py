"""Filters in octave bands, and colour changes as linear maps of each pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from gan_lightning.augment.moves import per_sample

BANDS = 4
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # power of natural images in the bands, low to high (Karras et al. 2020)


def bands(images: Tensor) -> list[Tensor]:
    """Split `(N, C, H, W)` (at least 5 pixels) into octave bands, low to high; their sum is the image.

    Each band is the part that the filter [1, 2, 1] / 4 removes. The filter's spacing doubles from band to band (the "a
    trous" algorithm).
    """
    octaves, low = [], images
    for gap in (1, 2, 4):
        smooth = _smooth(low, gap)
        octaves.append(low - smooth)
        low = smooth
    return [low, *octaves[::-1]]


def _smooth(images: Tensor, gap: int) -> Tensor:
    for dim in (2, 3):
        pad = [0, 0, gap, gap] if dim == 2 else [gap, gap, 0, 0]
        padded, size = functional.pad(images, pad, mode="reflect"), images.shape[dim]
        images = images / 2 + (padded.narrow(dim, 0, size) + padded.narrow(dim, 2 * gap, size)) / 4
    return images


def amplify(images: Tensor, gains: Tensor) -> Tensor:
    """Return the sum of the bands times `gains` `(N, BANDS)`."""
    weighted = (band * gains[:, i, None, None, None] for i, band in enumerate(bands(images)))
    return torch.stack(list(weighted)).sum(0)


def balanced_gains(single: Tensor) -> Tensor:
    """Return the total gains `(N, BANDS)` of one filter per band, each normalised to keep the expected power.

    single: `(N, BANDS)`, gain of the i-th filter in the i-th band.
    """
    total = torch.ones_like(single)
    for band, power in enumerate(POWER):
        gains = torch.ones_like(single)
        gains[:, band] = single[:, band]
        expected = 1 + power * (single[:, band] ** 2 - 1)  # POWER sums to 1
        total = total * gains / expected.sqrt()[:, None]
    return total


def recolor(
    images: Tensor, brightness: Tensor, contrast: Tensor, invert: Tensor, hue: Tensor, saturation: Tensor
) -> Tensor:
    """Add brightness, scale contrast, invert luma, rotate hue, scale saturation, in this order; all are `(N,)`.

    invert: True inverts the luma. hue: an angle in radians. Images without three channels consist of luma only.
    """
    luma = torch.where(invert, -contrast, contrast)
    images = images + per_sample(brightness, images)
    if images.shape[1] != 3:
        return images * per_sample(luma, images)
    grey = images.mean(1, keepdim=True)
    chroma = images - grey
    across = (chroma.roll(-2, 1) - chroma.roll(-1, 1)) / math.sqrt(3)  # rotated by 90 degrees about the grey axis
    turned = chroma * per_sample(hue.cos(), images) + across * per_sample(hue.sin(), images)
    return per_sample(luma, images) * grey + per_sample(contrast * saturation, images) * turned
