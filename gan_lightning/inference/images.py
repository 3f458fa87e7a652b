"""From a generator's output to pixels: the one conversion to uint8 and the one grid of images."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor


def to_uint8(images: Tensor) -> Tensor:
    """Return images in [-1, 1], any shape, as uint8: rounded to the nearest level, values outside clamped."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_unit(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as float32 in [0, 1], values outside clamped."""
    return ((images.float() + 1) / 2).clamp(0, 1)


def to_pil(image: Tensor) -> Image.Image:
    """Return one uint8 image `(C, H, W)` with 1 or 3 channels as a PIL image, grey ("L") or colour ("RGB")."""
    pixels = image.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def grid(images: Tensor, columns: int | None = None, padding: int = 2) -> Image.Image:
    """Return uint8 images `(N, C, H, W)` side by side in reading order, `padding` black pixels between and around.

    columns: None chooses the smallest square that holds them all.
    """
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    size = (rows * (height + padding) + padding, columns * (width + padding) + padding)
    canvas = torch.zeros(channels, *size, dtype=torch.uint8)
    for index, image in enumerate(images.cpu()):
        top = padding + index // columns * (height + padding)
        left = padding + index % columns * (width + padding)
        canvas[:, top : top + height, left : left + width] = image
    return to_pil(canvas)
