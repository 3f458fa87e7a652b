"""Convolutions whose input channels are scaled by each sample's style. Karras et al. 2019, arXiv 1912.04958."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.networks.layers.equalised import EqualisedLinear
from gan_lightning.networks.layers.resample import Filter


def demodulation(weight: Tensor, scales: Tensor) -> Tensor:
    """Return the factors `(N, O)` that bring each filter of weight `(O, I, k, k)` times scales `(N, I)` to norm 1."""
    return (scales.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()


class ModulatedConv2d(nn.Module):
    """Scale the input channels by a style, convolve, and normalise the output to unit variance.

    The feature maps are scaled before and after the convolution. This equals scaling each sample's filters and needs
    far less memory.

    demodulate: divide by the scaled filters' norms.
    upsample: double the size by a transposed convolution and a low-pass filter.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        style_dim: int,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style_dim, inputs, bias_value=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.scale = 1 / math.sqrt(inputs * kernel_size**2)
        self.demodulate, self.padding = demodulate, kernel_size // 2
        self.filter = Filter(padding=(1, 1), gain=4.0) if upsample else None

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """Map `(N, I, H, W)` with styles `(N, style_dim)` to `(N, O, H, W)`, or twice as wide and high."""
        scales, weight = self.affine(styles), self.weight * self.scale
        images = images * scales[:, :, None, None].to(images.dtype)
        if self.filter is None:
            images = functional.conv2d(images, weight, padding=self.padding)
        else:
            images = self.filter(functional.conv_transpose2d(images, weight.transpose(0, 1), stride=2))
        if self.demodulate:
            images = images * demodulation(weight, scales)[:, :, None, None].to(images.dtype)
        return images
