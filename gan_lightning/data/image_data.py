"""Reads image files as tensors of one size: pictures with antialiased resizing, masks and label maps with nearest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from gan_lightning.data.depth import shallow
from gan_lightning.data.fitting import Fit, fitted, fitted_tensor
from gan_lightning.data.listing import Place
from gan_lightning.data.opening import open_image
from gan_lightning.errors import UserError
from gan_lightning.sizes import Size, height_width

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue: ITU-R 601
HALF = 128  # grey levels from here on are white


OR_SKIP = ", or set data.on_error=skip to leave out such files"
LATER = {"later": True}  # metadata of an option that came later; see Described


class Described:
    """A dataclass whose repr, part of fingerprints, names an option that came later only where it is not its default.

    So what was cached before such an option was there stays valid.
    """

    def __repr__(self) -> str:
        shown = [f for f in fields(self) if f.repr]  # type: ignore[arg-type]
        shown = [f for f in shown if not (f.metadata.get("later") and getattr(self, f.name) == f.default)]
        return f"{type(self).__name__}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in shown)})"


@dataclass(frozen=True, repr=False)
class SquareImage(Described):
    """Read a file as uint8 `(channels, height, width)`, resized with Pillow's antialiased bicubic filter.

    size: the side of a square, or (height, width); the middle of the picture is kept, or see `fit`.
    crop: cut out a centre square of this many pixels first.
    skippable: whether errors may recommend data.on_error=skip; it does not affect the fingerprint.
    white: the value that becomes white in files of more than 8 bits that do not say it; None = 65535.
    fit: what happens to pictures of another shape, see `fitted`.
    """

    size: Size
    channels: int
    crop: int | None = None
    skippable: bool = field(default=False, repr=False)
    white: float | None = field(default=None, metadata=LATER)
    fit: Fit = field(default="crop", metadata=LATER)

    def __call__(self, path: Place) -> Tensor:
        """Return the image in file `path`; UserError names a file that cannot be read."""
        return decoded(path, self.convert, self.skippable, None if self.crop else max(height_width(self.size)))

    def convert(self, image: Image.Image) -> Tensor:
        """Return the tensor of an image opened by Pillow."""
        image = upright(image, self.channels, self.white)
        pixels = fitted(cropped(image, self.crop), self.size, self.fit, Image.Resampling.BICUBIC)
        return torch.from_numpy(pixels).reshape(*pixels.shape[:2], self.channels).permute(2, 0, 1)


@dataclass(frozen=True, repr=False)
class SquareMask(Described):
    """Read a black and white file as bool `(1, height, width)`, True for white, resized with nearest.

    It is framed as SquareImage with the same size, crop and fit; where it is padded it is False.
    """

    size: Size
    crop: int | None = None
    fit: Fit = field(default="crop", metadata=LATER)

    def __call__(self, path: Place) -> Tensor:
        """Return the mask in file `path`; UserError for a file that cannot be read or is not black and white."""
        return decoded(path, self.convert)

    def convert(self, image: Image.Image) -> Tensor:
        """Return the tensor of an image opened by Pillow."""
        image = upright(image, channels=1)
        brightest = np.asarray(image).max()
        if 0 < brightest < HALF:  # such as levels 0 and 1, which would all be black
            raise ValueError(f"a mask is black and white, 0 and 255, and the brightest pixel is {brightest}")
        levels = fitted(cropped(image, self.crop), self.size, self.fit, Image.Resampling.NEAREST)
        return torch.from_numpy(levels >= HALF)[None]


@dataclass(frozen=True, repr=False)
class SquareMap(Described):
    """Read a file of grey levels or palette indices as classes `(height, width)`: uint8, or int64 for 16 bits.

    It is framed as SquareImage with the same size, crop and fit, and resized with nearest; where it is padded it is of
    class 0.
    """

    size: Size
    crop: int | None = None
    fit: Fit = field(default="crop", metadata=LATER)

    def __call__(self, path: Place) -> Tensor:
        """Return the map in file `path`; UserError for a file that cannot be read or has colours."""
        return decoded(path, self.convert)

    def convert(self, image: Image.Image) -> Tensor:
        """Return the tensor of an image opened by Pillow."""
        image = ImageOps.exif_transpose(image)
        if image.mode not in ("1", "L", "P", "I", "I;16"):
            raise ValueError(f"a label map has one number a pixel, and this is an image of mode {image.mode}")
        classes = fitted(cropped(image, self.crop), self.size, self.fit, Image.Resampling.NEAREST)
        return torch.from_numpy(classes.astype(np.uint8 if image.mode in ("1", "L", "P") else np.int64))


def decoded(
    path: Place, convert: Callable[[Image.Image], Tensor], skippable: bool = False, enough: int | None = None
) -> Tensor:
    """Return `convert` of the image in file `path`; UserError names a file that cannot be read.

    enough: see `open_image`.
    """
    try:
        with open_image(path, enough) as image:
            return convert(image)
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error...
        raise unreadable(path, error, skippable) from error


def upright(image: Image.Image, channels: int, white: float | None = None) -> Image.Image:
    """Return `image`, just opened, as it is seen: turned as its EXIF data say, in mode L or RGB; see `shallow`."""
    return eight_bit(ImageOps.exif_transpose(shallow(image, white)), channels)


def cropped(image: Image.Image, crop: int | None) -> Image.Image:
    """Return the centre square with a side of at most `crop` pixels, or all of the image if this is None."""
    if crop is None:
        return image
    side = min(crop, *image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


class Unreadable(UserError):
    """A file that cannot be decoded. fault: which, and why. skippable: data.on_error=skip is recommended."""

    def __init__(self, fault: str, skippable: bool = False) -> None:
        self.fault, self.skippable = fault, skippable
        super().__init__(f"{fault}; repair or remove it{OR_SKIP * skippable}.")

    def __reduce__(self) -> tuple[type[Unreadable], tuple[str, bool]]:  # worker processes hand it on
        return type(self), (self.fault, self.skippable)


def unreadable(path: object, error: Exception, skippable: bool = False) -> Unreadable:
    """Return the error for a file that cannot be decoded; `skippable`: it recommends data.on_error=skip."""
    return Unreadable(f"Image {path} cannot be read ({type(error).__name__}: {error})", skippable)


def eight_bit(image: Image.Image, channels: int) -> Image.Image:
    """Return `image` of 8 bits a value in mode L or RGB; transparency is drawn on white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def resize(images: Tensor, size: Size, fit: Fit = "crop", chunk: int = 4096) -> Tensor:
    """Return images `(N, C, H, W)`, uint8 or float, in the new size, antialiased bicubic; see `fitted_tensor`."""
    if images.shape[-2:] == height_width(size):
        return images
    return torch.cat([fitted_tensor(part, size, fit, _bicubic) for part in images.split(chunk)])


def _bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(images, size, mode="bicubic", antialias=True)


def resize_nearest(values: Tensor, size: Size, fit: Fit = "crop") -> Tensor:
    """Return masks `(N, 1, H, W)` or label maps `(N, H, W)` in the new size, by nearest neighbours."""
    return fitted_tensor(values, size, fit, _nearest)


def _nearest(values: Tensor, size: tuple[int, int]) -> Tensor:
    sides = zip(size, values.shape[-2:], strict=True)
    rows, columns = ((2 * torch.arange(new) + 1) * old // (2 * new) for new, old in sides)
    return values[..., rows[:, None], columns]


def set_channels(images: Tensor, channels: int) -> Tensor:
    """Return uint8 `(N, 1 or 3, H, W)` as `(N, channels, H, W)`: grey repeated, or colour to luma (ITU-R 601)."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    luma = torch.tensor(LUMA)
    parts = [torch.einsum("nchw,c->nhw", c.float(), luma).round().byte() for c in images.split(4096)]
    return torch.cat(parts)[:, None]
