"""Every image file is decoded once before it is used: bad ones are known at once, and small sets are kept decoded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from rich import get_console
from rich.errors import LiveError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from gan_lightning.data.download import say
from gan_lightning.data.image_data import Unreadable
from gan_lightning.data.sources import FileImages
from gan_lightning.errors import UserError
from gan_lightning.paths import cache_dir, write_atomically

NAMED = 3  # bad files that a sentence names
T = TypeVar("T")
Sample = dict[str, Tensor]


@dataclass
class Trial:
    """What decoding all samples showed. bad: which cannot be read, and why, by the image's name.

    shapes: the first image of each shape (C, H, W), at most two: they are only looked at for whether they differ.
    """

    bad: dict[str, str] = field(default_factory=dict)
    shapes: list[tuple[str, list[int]]] = field(default_factory=list)


def decode_once(files: FileImages, key: str, shape: tuple[int, ...], keep: bool) -> dict[str, str]:
    """Decode all readable samples, images of `shape` (C, H, W), into the cache; return why the others are not.

    keep: whether the result counts although some cannot be read; if not, nothing is cached then.
    """
    if not _path(key).exists():
        columns, bad = _decode(files, shape)
        if bad and not keep:
            return bad
        _write_bad(key, bad)
        for name, values in reversed(columns.items()):  # the images, by which the next run knows all is there, last
            write_atomically(_path(key, name), partial(_save, values))
    return _read_bad(key)


def check_once(files: FileImages, key: str, keep: bool) -> Trial:
    """Decode all samples without keeping them; the result is cached unless some cannot be read, or if `keep`.

    Bad files must be known before training: they would stop it in the middle, and skipped ones change all batches.
    """
    path = cache_dir() / "images" / f"{key}.trial.json"
    if path.exists():
        return Trial(**json.loads(path.read_text()))
    trial = Trial()
    for name, sample in _tried(files, "checking"):
        if isinstance(sample, str):
            trial.bad[name] = sample
        elif len(trial.shapes) < 2 and list(sample["image"].shape) not in [shape for _, shape in trial.shapes]:
            trial.shapes.append((name, list(sample["image"].shape)))
    if keep or not trial.bad:
        write_atomically(path, lambda file: file.write_text(json.dumps(asdict(trial))))
    return trial


def refuse(bad: dict[str, str], count: int, key: str, otherwise: str = "") -> None:
    """Raise UserError for files that cannot be read: a few are named, and a file lists all of them.

    bad: their faults by name. count: of all files. otherwise: what may be done beside repairing or removing them.
    """
    faults = list(bad.values())
    if len(faults) == 1:
        raise UserError(f"{faults[0]}; repair or remove it{otherwise}.")
    more = ""
    if len(faults) > NAMED:
        path = cache_dir() / "images" / f"{key}.unreadable.txt"
        write_atomically(path, lambda file: file.write_text("".join(f"{fault}\n" for fault in faults)))
        more = f"; and {len(faults) - NAMED:,} more, all listed in {path}"
    raise UserError(f"{len(faults):,} of {count:,} files: {'; '.join(faults[:NAMED])}{more}; repair or remove them"
                    f"{otherwise}.")  # fmt: skip


def memory(key: str, field: str = "image") -> Tensor:
    """Return a field of all decoded samples from the cache: shared between processes, copied on write."""
    return torch.from_numpy(np.load(_path(key, field), mmap_mode="c"))


def in_threads(work: Callable[[int], T], count: int, what: str) -> Iterator[T]:
    """Yield `work` of 0 to `count` - 1 in order, done by as many threads as there are processors, with a bar."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the interpreter's lock
        yield from _counted(pool.map(work, range(count)), count, what)


def _decode(files: FileImages, shape: tuple[int, ...]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the fields `(n, ...)` of the readable samples, images first, and the faults of the others by name."""
    columns, bad = {"image": torch.empty(len(files), *shape, dtype=torch.uint8)}, {}
    for position, (image, sample) in enumerate(_tried(files, "decoding")):
        if isinstance(sample, str):
            bad[image] = sample
            continue
        for name, values in sample.items():
            if name not in columns:
                columns[name] = torch.empty(len(files), *values.shape, dtype=values.dtype)
            columns[name][position - len(bad)] = values
    return {name: values[: len(files) - len(bad)] for name, values in columns.items()}, bad


def _tried(files: FileImages, what: str) -> Iterator[tuple[str, Sample | str]]:
    """Yield the name and the sample of each image, or its fault."""
    if len(files) > 1000:
        say(f"{what} {len(files):,} images once")
    yield from zip(files.names, in_threads(partial(_sample_or_fault, files), len(files), what), strict=True)


def _sample_or_fault(files: FileImages, index: int) -> Sample | str:
    try:
        return files.read(index)
    except Unreadable as error:
        return error.fault
    except UserError as error:
        return str(error).rstrip(".")


def _counted(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yield `items`, and draw a bar on a terminal where no other is drawn."""
    if getattr(rank_zero_only, "rank", 0) != 0 or not get_console().is_interactive:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=get_console(), transient=True)
    with suppress(LiveError):
        bar.start()
    try:
        yield from bar.track(items, total, description=f"{what} images")
    finally:
        bar.stop()


def _path(key: str, field: str = "image") -> Path:
    return cache_dir() / "images" / (f"{key}.npy" if field == "image" else f"{key}.{field}.npy")


def _save(values: Tensor, path: Path) -> None:
    np.save(path, values.numpy())


def _read_bad(key: str) -> dict[str, str]:
    found = json.loads(_bad_path(key).read_text())
    return found if isinstance(found, dict) else dict.fromkeys(found, "")  # once a list of names


def _write_bad(key: str, bad: dict[str, str]) -> None:
    write_atomically(_bad_path(key), lambda path: path.write_text(json.dumps(bad)))


def _bad_path(key: str) -> Path:
    return cache_dir() / "images" / f"{key}.unreadable.json"
