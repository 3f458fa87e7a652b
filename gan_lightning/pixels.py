"""Conversion of images to uint8, grids of images, scatter plots of points, and time-lapses."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

Colour = tuple[int, int, int] | None

INK, PAPER, MODE, DOT = (40, 40, 40), (255, 255, 255), (214, 84, 60), (38, 99, 166)
SMOOTH = 2  # drawn this many times larger, then reduced, since PIL's circles are not smooth


def to_uint8(images: Tensor) -> Tensor:
    """Return images in [-1, 1], any shape, as uint8: rounded to the nearest level; values outside are clamped."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def to_unit(images: Tensor) -> Tensor:
    """Return images in [-1, 1] as float32 in [0, 1]; values outside are clamped."""
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


def enlarge(picture: Image.Image, at_least: int) -> Image.Image:
    """Return `picture` enlarged by an integer factor with sharp pixels, so that its width is at least `at_least`."""
    factor = math.ceil(at_least / picture.width)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def scatter(points: Tensor, modes: Tensor | None, std: float, size: int = 512) -> Image.Image:
    """Return a square picture of `points` (N, 2), blue, over the real `modes` (K, 2), red circles of 3 `std`.

    The axes depend only on the modes, so that pictures of one run can be compared; points outside are not drawn.
    """
    full = size * SMOOTH
    reach = float((modes if modes is not None else points).abs().max()) * 1.25 + 4 * std
    scale = full / (2 * max(reach, 1e-6))
    canvas = Image.new("RGB", (full, full), PAPER)
    draw = ImageDraw.Draw(canvas)
    for x, y in modes.tolist() if modes is not None else []:
        _circle(draw, full / 2 + x * scale, full / 2 - y * scale, max(3 * std * scale, 4 * SMOOTH), outline=MODE)
    for x, y in points.nan_to_num(1e6).tolist():
        _circle(draw, full / 2 + x * scale, full / 2 - y * scale, 1.4 * SMOOTH, fill=DOT)
    draw.rectangle((0, 0, full - 1, full - 1), outline=INK, width=SMOOTH)
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def _circle(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: Colour = None, outline: Colour = None
) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline, width=SMOOTH)


def time_lapse(frames: list[Path], target: Path, max_frames: int, max_side: int, seconds: float = 10.0) -> None:
    """Write a looping GIF of at most `max_frames` evenly spaced `frames`, with the last; sides at most `max_side`.

    It lasts about `seconds`; the last frame is shown for 1.5 seconds.
    """
    chosen = evenly(frames, max_frames)
    pictures = [_small(path, max_side) for path in chosen]
    shown = int(min(400, max(40, 1000 * seconds / len(pictures))))
    durations = [shown] * (len(pictures) - 1) + [1500]
    pictures[0].save(target, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True)


def evenly(items: list[Path], count: int) -> list[Path]:
    """Return `count` evenly spaced `items`, including first and last, or all if there are fewer."""
    if len(items) <= count:
        return items
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def _small(path: Path, max_side: int) -> Image.Image:
    with Image.open(path) as file:
        picture = file.convert("RGB")
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return picture.quantize(128)
