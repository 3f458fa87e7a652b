"""From an image file of any kind to a square uint8 tensor: upright, 8 bit, cropped, resized without aliasing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from gan_lightning.errors import UserError

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


@dataclass(frozen=True)
class SquareImage:
    """Read a file as uint8 `(channels, size, size)`, resized with Pillow's antialiased bicubic filter.

    The shorter side becomes `size`, and the centre is kept. crop: first cut out the centre square of that many pixels.
    skippable: data.on_error=skip helps where a file cannot be read; no part of what identifies the pixels.
    """

    size: int
    channels: int
    crop: int | None = None
    skippable: bool = field(default=False, repr=False)

    def __call__(self, path: Path) -> Tensor:
        """Return the image in file `path`; UserError names a file that cannot be read."""
        try:
            with Image.open(path) as image:
                return self.convert(image)
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error...
            raise unreadable(path, error, self.skippable) from error

    def convert(self, image: Image.Image) -> Tensor:
        """Return the tensor of an image opened by Pillow."""
        image = eight_bit(ImageOps.exif_transpose(image), self.channels)
        if self.crop is not None:
            image = centre(image, min(self.crop, *image.size))
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        square = image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box)
        return torch.from_numpy(np.array(square)).reshape(self.size, self.size, self.channels).permute(2, 0, 1)


def centre(image: Image.Image, side: int) -> Image.Image:
    """Return the centre square of `side` whole pixels."""
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def unreadable(path: Path, error: Exception, skippable: bool = False) -> UserError:
    """Return the error for a file that no decoder can make sense of; `skippable` where data.on_error=skip helps."""
    ways = "repair or remove it" + ", or set data.on_error=skip to leave out such files" * skippable
    return UserError(f"Image {path} cannot be read ({type(error).__name__}: {error}); {ways}.")


def eight_bit(image: Image.Image, channels: int) -> Image.Image:
    """Return `image` in mode L or RGB; transparency is laid on white, 16 bits are scaled to 8."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip((values + 128) // 257, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def resize(images: Tensor, size: int, chunk: int = 4096) -> Tensor:
    """Return uint8 images `(N, C, H, W)` as `(N, C, size, size)`, antialiased bicubic."""
    if images.shape[-2:] == (size, size):
        return images
    parts = (functional.interpolate(c, (size, size), mode="bicubic", antialias=True) for c in images.split(chunk))
    return torch.cat(list(parts))


def set_channels(images: Tensor, channels: int) -> Tensor:
    """Return uint8 `(N, 1 or 3, H, W)` as `(N, channels, H, W)`: grey repeated, or colour to luma (ITU-R 601)."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    luma = torch.tensor([0.299, 0.587, 0.114])
    parts = [torch.einsum("nchw,c->nhw", c.float(), luma).round().byte() for c in images.split(4096)]
    return torch.cat(parts)[:, None]
