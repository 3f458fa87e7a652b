"""Images of more than 8 bits a value: which value is white, and how they become images of 8 bits."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from PIL import Image

from gan_lightning.data.listing import Place
from gan_lightning.data.opening import identified, open_image
from gan_lightning.errors import UserError

FULL = 65535  # white of 16 bits
WHITES = (255, 1023, 4095, 16383, FULL)  # of 8, 10, 12, 14 and 16 bits
SHALLOW = (".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".gif", ".bmp")  # endings of formats with 8 bits at most
OTHER_END = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


class UnknownWhite(ValueError):
    """A file of numbers of which none is white by its format."""

    def __init__(self, what: str) -> None:
        super().__init__(f"it has {what}, and does not say which of them is white")


def shallow(image: Image.Image, white: float | None = None) -> Image.Image:
    """Return `image` with 8 bits a value: itself, or one of mode L, RGB or RGBA, scaled so that `white` becomes 255.

    image: just opened. white: of files that do not say it themselves; None = 65535. UnknownWhite for floating-point
    numbers, and for integers above 65535, where it is None.
    """
    if image.mode[0] not in "IF" and white in (None, FULL):
        return image  # of 16 bits in three colours Pillow reads the upper 8
    said = white_in(image)
    values = values_in(image)
    if values is None:
        return image
    if said is None and white is None:
        _check_known(image.mode, values)
    scaled = Image.fromarray(_scaled(values, said or white or FULL))
    scaled.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return scaled


def values_in(image: Image.Image) -> np.ndarray | None:
    """Return the numbers `(H, W)` or `(H, W, C)` of an image of more than 8 bits, None for others, not decoded.

    Pillow reads 16 bits in three colours as the upper 8. A second decode, as of the other byte order, reads the lower.
    """
    if image.mode[0] in "IF":
        return np.asarray(image)
    if not _deep_colour(image):
        return None
    file = image.fp  # type: ignore[attr-defined]
    upper = np.asarray(image)
    file.seek(0)
    other: Any = identified(file)
    other.tile = [part._replace(args=_swapped(part.args)) for part in other.tile]
    return upper.astype(np.int64) * 256 + np.asarray(other)


def white_in(image: Image.Image) -> int | None:
    """Return the value that a file, just opened, says is white; None if it does not."""
    tile: Any = getattr(image, "tile", None)
    if image.format == "PPM" and image.mode == "I" and tile and tile[0].codec_name != "raw":
        return FULL  # its header names the largest value, and Pillow scales that to 65535
    bits = getattr(image, "tag_v2", {}).get(258, (16,))[0] if image.format == "TIFF" else 16
    return 2**bits - 1 if 8 < bits < 16 else None


def largest(path: Place) -> float | None:
    """Return the largest value in a file of more than 8 bits that does not say which is white; None for all others.

    Only such a file is decoded. UnknownWhite where no number of bits would tell.
    """
    with open_image(path) as image:
        values = None if white_in(image) else values_in(image)
        if values is None:
            return None
        _check_known(image.mode, values)
        return float(values.max())


def automatic(value: float) -> int:
    """Return the white of 8, 10, 12, 14 or 16 bits, the least that is at least `value`."""
    return next(white for white in WHITES if white >= value)


def check_white(white: float | None, key: str) -> None:
    """Raise UserError if `white`, given as option `key`, is not above 0."""
    if white is not None and not white > 0:
        raise UserError(f"{key}={white} is not possible; it is a number above 0, or null to find it out.")


def _check_known(mode: str, values: np.ndarray) -> None:
    if mode == "F":
        raise UnknownWhite("floating-point numbers")
    if values.max() > FULL:
        raise UnknownWhite(f"integers up to {values.max():,}")


def _scaled(values: np.ndarray, white: float) -> np.ndarray:
    if values.dtype.kind == "f" or white != int(white):
        return np.clip(np.rint(np.nan_to_num(values) * (255 / white)), 0, 255).astype(np.uint8)
    whole = int(white)
    return np.clip((values.astype(np.int64) * 255 + whole // 2) // whole, 0, 255).astype(np.uint8)


def _deep_colour(image: Image.Image) -> bool:
    tile: Any = getattr(image, "tile", None)
    return bool(tile) and any(_is_deep(word) for word in _words(tile[0].args))


def _swapped(args: Any) -> Any:
    words = [word[:-1] + OTHER_END[word[-1]] if _is_deep(word) else word for word in _words(args)]
    return words[0] if isinstance(args, str) else tuple(words)


def _words(args: Any) -> tuple[Any, ...]:
    return (args,) if isinstance(args, str) else tuple(args or ())


def _is_deep(word: Any) -> bool:
    return isinstance(word, str) and word[:-1] in ("RGB;16", "RGBX;16", "RGBA;16")
