"""Resampling by two, with and without a low-pass filter (FIR: finite impulse response)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

BINOMIAL = (1.0, 2.0, 1.0)  # StyleGAN
WIDE_BINOMIAL = (1.0, 3.0, 3.0, 1.0)  # StyleGAN2


def nearest_upsample(images: Tensor, factor: int = 2) -> Tensor:
    """Repeat each pixel `factor` times in both directions."""
    return images if factor == 1 else functional.interpolate(images, scale_factor=float(factor), mode="nearest")


def average_pool(images: Tensor, factor: int = 2) -> Tensor:
    """Average blocks of `factor` x `factor` pixels."""
    return images if factor == 1 else functional.avg_pool2d(images, factor)


class Filter(nn.Module):
    """A separable low-pass filter on each channel, with zero padding; its taps sum to 1.

    padding: zeros at the left and top, and at the right and bottom.
    gain: factor on the result.
    """

    kernel: Tensor

    def __init__(
        self, taps: Sequence[float] = WIDE_BINOMIAL, padding: tuple[int, int] = (0, 0), gain: float = 1.0
    ) -> None:
        super().__init__()
        line = torch.tensor(taps)
        kernel = torch.outer(line, line)
        self.register_buffer("kernel", gain * kernel / kernel.sum(), persistent=False)
        self.padding = (*padding, *padding)

    def weight(self, images: Tensor) -> Tensor:
        """Return the kernel for each channel of `images`: `(C, 1, k, k)`."""
        return self.kernel.to(images.dtype).expand(images.shape[1], 1, *self.kernel.shape)

    def forward(self, images: Tensor) -> Tensor:
        """Filter `(N, C, H, W)`."""
        padded = functional.pad(images, self.padding)
        return functional.conv2d(padded, self.weight(images), groups=images.shape[1])


class Blur(Filter):
    """A filter with an odd number of taps that keeps the image's size."""

    def __init__(self, taps: Sequence[float] = BINOMIAL) -> None:
        super().__init__(taps, (len(taps) // 2, len(taps) // 2))


class Upsample(Filter):
    """Double the size: zeros between the pixels, then a filter of four taps (Karras et al. 2019, arXiv 1912.04958)."""

    def __init__(self, taps: Sequence[float] = WIDE_BINOMIAL) -> None:
        super().__init__(taps, gain=4.0)

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C, 2H, 2W)`."""
        return functional.conv_transpose2d(images, self.weight(images), stride=2, padding=1, groups=images.shape[1])


class Downsample(Filter):
    """Halve the size: a filter of four taps, then every second pixel."""

    def __init__(self, taps: Sequence[float] = WIDE_BINOMIAL) -> None:
        super().__init__(taps)

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, C, 2H, 2W)` to `(N, C, H, W)`."""
        return functional.conv2d(images, self.weight(images), stride=2, padding=1, groups=images.shape[1])
