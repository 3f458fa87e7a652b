"""Filters in octave bands, and colour as linear maps of a pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from gan_lightning.augment.moves import per_sample

BANDS = 4
POWER = (10 / 13, 1 / 13, 1 / 13, 1 / 13)  # of natural images in the bands, low to high (Karras et al. 2020)


def bands(images: Tensor) -> list[Tensor]:
    """Split `(N, C, H, W)` in octaves, low to high, whose sum is the image; sides are at least 5 pixels.

    Each octave is what [1, 2, 1] / 4 takes away, with gaps that double: the "a trous" algorithm.
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
    """Return the gains `(N, BANDS)` of one filter for each band in turn, each of which keeps the expected power.

    single: `(N, BANDS)`, how much the i-th filter amplifies the i-th band.
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
    """Add brightness, scale by contrast, invert luma, turn hue, scale saturation, in this order; all are `(N,)`.

    invert: True to mirror the luma; hue: an angle in radians. An image that has not three channels is all luma.
    """
    luma = torch.where(invert, -contrast, contrast)
    images = images + per_sample(brightness, images)
    if images.shape[1] != 3:
        return images * per_sample(luma, images)
    grey = images.mean(1, keepdim=True)
    chroma = images - grey
    across = (chroma.roll(-2, 1) - chroma.roll(-1, 1)) / math.sqrt(3)  # a right angle further about the grey axis
    turned = chroma * per_sample(hue.cos(), images) + across * per_sample(hue.sin(), images)
    return per_sample(luma, images) * grey + per_sample(contrast * saturation, images) * turned
