"""Opens image files as `PIL.Image.open` does, but of any size."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from gan_lightning.data.listing import Place

HUGE = 2 * 89_478_485  # pixels; Pillow itself opens no larger images


@contextmanager
def open_image(path: Place, enough: int | None = None) -> Iterator[Image.Image]:
    """Yield the image in file `path`, not decoded yet; all sorts of errors if it is not an image.

    Pillow's limit of pixels, a guard of servers against strangers' files, does not hold for a user's own data.

    enough: a JPEG of more than `HUGE` pixels may be decoded to half, a quarter or an eighth of its sides, but to at
    least twice `enough` pixels. The decoder then averages blocks of pixels, as resizing does, so the resized image
    differs by little from that of a full decode, for a fraction of the memory. Smaller images are decoded in full.
    """
    if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):  # opening a pipe waits for ever
        raise OSError("it is not a regular file")
    with path.open("rb") as file, _identified(file) as image:
        if enough is not None and image.width * image.height > HUGE:
            image.draft(None, (2 * enough, 2 * enough))
        yield image


def _identified(file: BinaryIO) -> Image.Image:
    """Return the image in an open file: the formats' own openers, without the check that `Image.open` adds."""
    prefix = file.read(16)
    for factory, accepts in _openers():
        accepted = accepts is None or accepts(prefix)
        if isinstance(accepted, str) or not accepted:  # a string says what support is missing
            continue
        try:
            file.seek(0)
            return factory(file, "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # another format that begins alike
            continue
    raise UnidentifiedImageError("it is no image of a known format, or cut off in its first bytes")


@cache
def _openers() -> list[tuple[Any, Any]]:
    Image.init()
    return [Image.OPEN[name] for name in Image.ID]
