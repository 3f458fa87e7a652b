"""Opens image files as `PIL.Image.open` does, but of any size."""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from gan_lightning.data.archives import Member
from gan_lightning.data.listing import Place

LARGE = 89_478_485  # pixels; of larger images Pillow warns
HUGE = 2 * LARGE  # and these it does not open
PACKED = 2**30  # pixels of an image in an archive: a small file may hold a huge image of one colour
ONE = threading.Lock()


@contextmanager
def open_image(path: Place, enough: int | None = None) -> Iterator[Image.Image]:
    """Yield the image in file `path`, not decoded yet; all sorts of errors if it is not an image.

    Pillow's limit of pixels, a guard of servers against strangers' files, does not hold for a user's own data. Images
    above it are decoded one at a time, since each may take a GiB. In an archive an image has at most `PACKED` pixels.

    enough: a JPEG of more than `HUGE` pixels may be decoded to half, a quarter or an eighth of its sides, but to at
    least twice `enough` pixels. The decoder then averages blocks of pixels, as resizing does, so the resized image
    differs by little from that of a full decode, for a fraction of the memory. Smaller images are decoded in full.
    """
    if isinstance(path, Path):
        _check_regular(path)
    with path.open("rb") as file, identified(file) as image:
        pixels = image.width * image.height
        if pixels > PACKED and isinstance(path, Member):
            raise OSError(f"it has {image.width:,} x {image.height:,} pixels, too many for an image in an archive; "
                          "unpack the archive and give its folder")  # fmt: skip
        if enough is not None and pixels > HUGE:
            image.draft(None, (2 * enough, 2 * enough))
        with _unlimited() if pixels > LARGE else nullcontext():
            yield image


@contextmanager
def _unlimited() -> Iterator[None]:
    """Lift Pillow's limit of pixels, a global, for one thread at a time: decoders of TIFF and WebP check it too."""
    with ONE:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _made(factory: Callable[[BinaryIO, str], Image.Image], file: BinaryIO) -> Image.Image:
    file.seek(0)
    try:
        return factory(file, "")
    except Image.DecompressionBombError:
        with _unlimited():
            file.seek(0)
            return factory(file, "")


def _check_regular(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f"it is a link to {os.readlink(path)}, which is not there")
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
        raise OSError("it is not a regular file")


def identified(file: BinaryIO) -> Image.Image:
    """Return the image in an open file: the formats' own openers, without the check that `Image.open` adds."""
    Image.preinit()  # the common formats are tried first
    Image.init()
    prefix = file.read(16)
    for factory, accepts in [Image.OPEN[name] for name in Image.ID]:
        try:
            accepted = accepts is None or accepts(prefix)
            if accepted and not isinstance(accepted, str):  # a string says what support is missing
                return _made(factory, file)
        except (SyntaxError, IndexError, TypeError, struct.error):  # another format that begins alike
            continue
    raise UnidentifiedImageError("it is no image of a known format, or cut off in its first bytes")
