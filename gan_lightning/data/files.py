"""Data sets of image files: checked before training; small ones are decoded only once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from gan_lightning.data.data_module import ResizedData
from gan_lightning.data.depth import check_white
from gan_lightning.data.download import say
from gan_lightning.data.image_data import OR_SKIP, SquareImage
from gan_lightning.data.listing import Listing
from gan_lightning.data.sources import FileImages, Source, TensorImages, digest
from gan_lightning.data.trial import check_once, decode_once, memory, refuse
from gan_lightning.data.white import settled
from gan_lightning.errors import UserError
from gan_lightning.sizes import Size

VERSION = 1  # of the transform; increase it when the pixels change


@dataclass(kw_only=True, eq=False, repr=False)
class FileData(ResizedData):
    """Base class of data sets of image files.

    root: their folder. crop: side in pixels of the centre square that is cut out before resizing; None = no crop.
    on_error: "raise" stops at a file that is not an image; "skip" ignores such files and counts them.
    white: the value that becomes white in files of more than 8 bits that do not say it; None = the least of 255, 1023,
    4095, 16383 and 65535 that no value of the set exceeds.
    cache_gib: a data set of at most this many GiB is decoded once, into the cache folder, and read from memory. A
    larger one is decoded in every epoch by `num_workers` processes.
    """

    image_size: Size = 64
    channels: int = 3
    num_workers: int = 2
    root: str | None = None
    crop: int | None = None
    on_error: Literal["raise", "skip"] = "raise"
    white: float | None = None
    cache_gib: float = 1.0

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        if self.on_error not in ("raise", "skip"):
            raise UserError(f"data.on_error={self.on_error} is not possible; take raise or skip.")
        if self.crop is not None and self.crop < 1:
            raise UserError(f"data.crop={self.crop} is not possible; it is a number of pixels, or null for all.")
        check_white(self.white, "data.white")

    def files(self, split: str) -> FileImages:
        """Return the files of `split`; UserError if there are none. Subclasses implement this."""
        raise NotImplementedError

    def tell(self, there: Listing) -> None:
        """Print how many images and classes were found, and what is left out; UserError for a closed folder."""
        if self.on_error == "raise":
            there.check_closed(", or set data.on_error=skip to leave out what is in such folders")
        say(there.line(str(self.name), len(self.class_names or ())))

    @property
    def transform(self) -> SquareImage:
        """The transform from a file to a tensor."""
        return SquareImage(self.image_size, self.channels, self.crop, True, self.white, self.fit)

    def load(self, split: str) -> Source:
        """Return `split` from memory if it is small, else as files; UserError names all files that cannot be read."""
        files = settled(self.files(split), str(self.name), "data.white")
        key = digest(VERSION, files.content, self.on_error)
        small = len(files) * math.prod(self.image_shape) <= self.cache_gib * 2**30
        keep = self.on_error == "skip"
        bad = decode_once(files, key, self.image_shape, keep) if small else check_once(files, key, keep).bad
        if bad and not keep:
            refuse(bad, len(files), key, OR_SKIP)
        if bad:
            first = next(iter(bad))
            say(f"{self.name}: {len(bad)} of {len(files)} images cannot be read and are left out, first {first}")
            files = files.without(set(bad))
        if not len(files):
            raise UserError(f"data={self.name}: no image under {files.root} can be read.")
        if not small:
            return files
        identity = digest(key, None if files.labels is None else files.labels.tolist())
        further = {field: memory(key, field.name) for field in files.further}
        images = TensorImages(memory(key), files.labels, identity, further)
        images.order = files.order
        return images
