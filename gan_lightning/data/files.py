"""Data sets of image files: checked before training; small ones are decoded only once."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_lightning.data.data_module import GANData
from gan_lightning.data.download import say
from gan_lightning.data.image_data import SquareImage, unreadable
from gan_lightning.data.sources import FileImages, Source, TensorImages, digest
from gan_lightning.errors import UserError
from gan_lightning.paths import cache_dir, write_atomically

VERSION = 1  # of the transform; increase it when the pixels change
T = TypeVar("T")


@dataclass(kw_only=True, eq=False, repr=False)
class FileData(GANData):
    """Base class of data sets of image files.

    root: their folder. crop: side in pixels of the centre square that is cut out before resizing; None = no crop.
    on_error: "raise" stops at a file that is not an image; "skip" ignores such files and counts them.
    cache_gib: a data set of at most this many GiB is decoded once, into the cache folder, and read from memory. A
    larger one is decoded in every epoch by `num_workers` processes.
    """

    image_size: int = 64
    channels: int = 3
    num_workers: int = 2
    root: str | None = None
    crop: int | None = None
    on_error: Literal["raise", "skip"] = "raise"
    cache_gib: float = 1.0

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        if self.on_error not in ("raise", "skip"):
            raise UserError(f"data.on_error={self.on_error} is not possible; take raise or skip.")
        if self.crop is not None and self.crop < 1:
            raise UserError(f"data.crop={self.crop} is not possible; it is a number of pixels, or null for all.")

    def files(self, split: str) -> FileImages:
        """Return the files of `split`; UserError if there are none. Subclasses implement this."""
        raise NotImplementedError

    @property
    def transform(self) -> SquareImage:
        """The transform from a file to a tensor."""
        return SquareImage(self.image_size, self.channels, self.crop, skippable=True)

    def load(self, split: str) -> Source:
        """Return `split` from memory if it is small, else as files; UserError names a file that cannot be read."""
        files = self.files(split)
        key = digest(VERSION, files.content, self.on_error)
        small = len(files) * math.prod(self.image_shape) <= self.cache_gib * 2**30
        if small:
            bad = decode_once(files, key, self.image_shape, self.on_error)
        else:
            bad = check_once(files, key, self.on_error)
        if bad:
            say(f"{self.name}: {len(bad)} of {len(files)} images cannot be read and are left out, first {bad[0]}")
            files = files.without(set(bad))
        if not len(files):
            raise UserError(f"data={self.name}: no image under {files.root} can be read.")
        if not small:
            return files
        identity = digest(key, None if files.labels is None else files.labels.tolist())
        further = {field: _memory(key, field.name) for field in files.further}
        images = TensorImages(_memory(key), files.labels, identity, further)
        images.order = files.order
        return images


def decode_once(files: FileImages, key: str, shape: tuple[int, ...], on_error: str) -> list[str]:
    """Decode all readable samples, images of `shape` (C, H, W), into the cache; return the names of the others."""
    if not _path(key).exists():
        if len(files) > 1000:
            say(f"decoding {len(files):,} images once to {_path(key)}")
        columns, bad = _decode(files, shape, on_error)
        _write_names(key, bad)
        for name, values in reversed(
            columns.items()
        ):  # the images, by which the next run knows that all is there, last
            write_atomically(_path(key, name), partial(_save, values))
    return json.loads(_names_path(key).read_text())


def check_once(files: FileImages, key: str, on_error: str) -> list[str]:
    """Return the names of files that cannot be read; the result is cached under `key`.

    "raise" opens each file, which finds files that are not images, and raises UserError. "skip" decodes each file,
    which finds truncated images too. Skipped files must be known before training, since they change all later batches.
    """
    if not _names_path(key).exists():
        say(f"checking {len(files):,} images once")
        look = _opens if on_error == "raise" else _decodes
        _write_names(key, [n for n, good in zip(files.names, _parallel(look, files), strict=True) if not good])
    return json.loads(_names_path(key).read_text())


def _decode(files: FileImages, shape: tuple[int, ...], on_error: str) -> tuple[dict[str, Tensor], list[str]]:
    """Return the fields `(n, ...)` of the readable samples, images first, and the names of the others."""
    columns, bad = {"image": torch.empty(len(files), *shape, dtype=torch.uint8)}, []
    read = FileImages.read if on_error == "raise" else _sample_or_none
    for position, sample in enumerate(_parallel(read, files)):
        if sample is None:
            bad.append(files.names[position])
            continue
        for name, values in sample.items():
            if name not in columns:
                columns[name] = torch.empty(len(files), *values.shape, dtype=values.dtype)
            columns[name][position - len(bad)] = values
    return {name: values[: len(files) - len(bad)] for name, values in columns.items()}, bad


def _sample_or_none(files: FileImages, index: int) -> dict[str, Tensor] | None:
    try:
        return files.read(index)
    except UserError:
        return None


def _decodes(files: FileImages, index: int) -> bool:
    return _sample_or_none(files, index) is not None


def _opens(files: FileImages, index: int) -> bool:
    for path in files.paths(index):
        try:
            with Image.open(path):
                pass
        except Exception as error:  # decoders raise many types
            raise unreadable(path, error, skippable=True) from error
    return True


def _parallel(read: Callable[[FileImages, int], T], files: FileImages) -> Iterator[T]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the interpreter's lock
        yield from pool.map(lambda index: read(files, index), range(len(files)))


def _path(key: str, field: str = "image") -> Path:
    return cache_dir() / "images" / (f"{key}.npy" if field == "image" else f"{key}.{field}.npy")


def _save(values: Tensor, path: Path) -> None:
    np.save(path, values.numpy())


def _memory(key: str, field: str = "image") -> Tensor:
    return torch.from_numpy(np.load(_path(key, field), mmap_mode="c"))  # shared between processes, copied on write


def _names_path(key: str) -> Path:
    return cache_dir() / "images" / f"{key}.unreadable.json"


def _write_names(key: str, names: list[str]) -> None:
    write_atomically(_names_path(key), lambda path: path.write_text(json.dumps(names)))
