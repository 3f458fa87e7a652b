"""Geometric operations for each sample: shifts, rotations by 90 degrees, affine maps; all twice differentiable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


def per_sample(values: Tensor, images: Tensor) -> Tensor:
    """Reshape values `(N,)` so that they broadcast over `images` `(N, ...)`."""
    return values.reshape(-1, *[1] * (images.ndim - 1))


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the samples that are `chosen` `(N,)` left to right."""
    return torch.where(per_sample(chosen, images), images.flip(3), images)


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Rotate square images by `turns` `(N,)` times 90 degrees, counterclockwise."""
    images = torch.where(per_sample(turns % 4 >= 2, images), images.flip(2, 3), images)
    return torch.where(per_sample(turns % 2 == 1, images), images.rot90(1, (2, 3)), images)


def shift(images: Tensor, right: Tensor, down: Tensor, reflect: bool) -> Tensor:
    """Shift by whole pixels `(N,)`, less than the image's size; the new pixels are a reflection or zero."""
    return _shift_along(_shift_along(images, 3, right, reflect), 2, down, reflect)


def _shift_along(images: Tensor, dim: int, by: Tensor, reflect: bool) -> Tensor:
    size = images.shape[dim]
    source = torch.arange(size, device=images.device) - by.long()[:, None]
    inside = (source >= 0) & (source < size)
    if reflect:  # at the centres of the outermost pixels
        source = (size - 1) - ((size - 1) - source.abs()).abs()
    shape = [len(images), 1, size, 1] if dim == 2 else [len(images), 1, 1, size]
    moved = images.gather(dim, source.clamp(0, size - 1).reshape(shape).expand_as(images))
    return moved if reflect else moved * inside.reshape(shape)


def affine(images: Tensor, maps: Tensor) -> Tensor:
    """Warp each image; `maps` `(N, 2, 3)` are affine maps from output to input positions in [-1, 1]^2.

    Every pixel is the mean of 2 x 2 bicubic samples, against aliasing when an image gets smaller. The image is
    reflected at the edges.
    """
    size = [len(images), images.shape[1], 2 * images.shape[2], 2 * images.shape[3]]
    grid = functional.affine_grid(maps.to(images.dtype), size, align_corners=False)
    return functional.avg_pool2d(_Sample.apply(images, grid), 2)


class _Sample(torch.autograd.Function):
    """Samples images at a grid. It is linear in them and twice differentiable, unlike PyTorch's `grid_sample`."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return functional.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Spread.apply(gradients[0], grid, ctx.shape), None


class _Spread(torch.autograd.Function):
    """The transpose of `_Sample`: adds values at a grid into images of `shape`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        bicubic, reflection, corners = 2, 2, False
        images = values.new_zeros(shape)  # only its shape matters
        mask = [True, False]
        return torch.ops.aten.grid_sampler_2d_backward(values, images, grid, bicubic, reflection, corners, mask)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sample.apply(gradients[0], grid), None, None
