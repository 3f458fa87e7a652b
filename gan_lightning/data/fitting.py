"""Pictures of another shape than the images': their middle is cut out, or they are padded, or stretched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.sizes import Size, height_width

Fit = Literal["crop", "pad", "stretch"]


def check_fit(fit: str) -> None:
    """Raise UserError for a way that is not there."""
    if fit not in get_args(Fit):
        raise UserError(f"data.fit={fit} is not possible; take crop, pad or stretch.")


def fitted(picture: Image.Image, size: Size, fit: Fit, filter: Image.Resampling) -> np.ndarray:
    """Return the pixels `(height, width, ...)` of a picture that is resized to `size`.

    fit: "crop" keeps the largest part from the middle that has the shape of `size`; "pad" keeps all, with zeros (black,
        or class 0) on two sides; "stretch" keeps all and changes its shape.
    """
    height, width = height_width(size)
    if fit == "pad":
        inner = inside(picture.height, picture.width, height, width)
        return padded(np.array(picture.resize(inner[::-1], filter)), height, width)
    box = middle(picture.height, picture.width, height, width) if fit == "crop" else None
    return np.array(picture.resize((width, height), filter, box=box))


def middle(height: int, width: int, new_height: int, new_width: int) -> tuple[float, float, float, float]:
    """Return the largest box (left, top, right, bottom) in the middle of a picture with the shape of the new size."""
    high, wide = min(height, width * new_height / new_width), min(width, height * new_width / new_height)
    left, top = (width - wide) / 2, (height - high) / 2
    return left, top, left + wide, top + high


def inside(height: int, width: int, new_height: int, new_width: int) -> tuple[int, int]:
    """Return height and width of a picture that is resized, in its own shape, to fit into the new size."""
    scale = min(new_height / height, new_width / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def padded(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return `pixels` `(h, w, ...)` in the middle of zeros `(height, width, ...)`."""
    rows, columns = height - pixels.shape[0], width - pixels.shape[1]
    sides = [(rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
    return np.pad(pixels, sides + [(0, 0)] * (pixels.ndim - 2))


def fitted_tensor(values: Tensor, size: Size, fit: Fit, resize: Callable[[Tensor, tuple[int, int]], Tensor]) -> Tensor:
    """Return `values` `(..., H, W)` resized to `size` by `resize`; `fitted` for tensors, but "crop" cuts whole pixels.

    resize: values, (height, width) -> values of this size.
    """
    (height, width), (old_height, old_width) = height_width(size), values.shape[-2:]
    if fit == "pad":
        inner = inside(old_height, old_width, height, width)
        rows, columns = height - inner[0], width - inner[1]
        sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return functional.pad(resize(values, inner), sides)
    if fit == "crop":
        left, top, right, bottom = map(round, middle(old_height, old_width, height, width))
        values = values[..., top : max(bottom, top + 1), left : max(right, left + 1)]
    return resize(values, (height, width))
