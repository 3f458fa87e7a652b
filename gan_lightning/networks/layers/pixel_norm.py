"""Pixel norm: Karras et al. 2017, arXiv 1710.10196."""

from __future__ import annotations

from torch import Tensor, nn


def pixel_norm(values: Tensor) -> Tensor:
    """Scale each pixel of `(N, C, ...)`, or each row of `(N, C)`, to unit mean square over its channels."""
    return values * (values.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class PixelNorm(nn.Module):
    """`pixel_norm` as a layer."""

    def forward(self, values: Tensor) -> Tensor:
        """Normalise `(N, C, ...)`."""
        return pixel_norm(values)
