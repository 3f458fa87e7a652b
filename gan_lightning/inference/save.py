"""Samples as files: a folder of PNGs, one grid, or points as CSV or NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.inference.load import Codes, Labels, LoadedGenerator, check_count
from gan_lightning.paths import write_atomically
from gan_lightning.pixels import grid, to_pil, to_uint8

GRIDS = (".png", ".jpg", ".jpeg", ".webp")
POINTS = (".csv", ".npy")
Batches = Iterator[Tensor]


def save_samples(
    loaded: LoadedGenerator,
    out: Path | str,
    n: int,
    seed: int = 0,
    labels: Labels | None = None,
    batch_size: int = 64,
    overwrite: bool = False,
    codes: Codes | None = None,
    **options: Any,
) -> Path:
    """Write `n` samples to `out` and return it.

    A folder gets 00000.png, 00001.png, ...; a .png (.jpg, .webp) becomes one grid; 2-D points go to a .csv or .npy.
    labels: as in LoadedGenerator.sample, or "all" for all classes in turn (a grid then has a column for each class).
    codes, options: as in LoadedGenerator.sample.
    Raises UserError if files exist (unless overwrite) or `out` cannot be written.
    """
    out = Path(out).expanduser()
    check_count("n", n)
    check_count("batch_size", batch_size)
    columns = None
    if isinstance(labels, str) and labels == "all":
        columns = loaded.num_classes or None
        labels = [index % (loaded.num_classes or 1) for index in range(n)]
    chosen = loaded.class_labels(labels, n)
    loaded.code_values(codes, n)  # raise before files are written
    loaded.sampler(**options)
    write = _writer(loaded, out, columns)
    make_room(out, overwrite)
    with writing(out):
        write(out, _batches(loaded, n, seed, chosen, batch_size, codes, options))
    return out


def make_room(out: Path, overwrite: bool) -> None:
    """Raise UserError if `out` is an existing file or a folder with something in it, unless `overwrite`."""
    taken = out.is_file() or (out.is_dir() and any(out.iterdir()))
    if taken and not overwrite:
        raise UserError(f"{out} is there already: choose another out=, or set overwrite=true to replace files in it.")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Raise a failure to write below `out` as a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror or error}): choose another out=.") from error


def _batches(
    loaded: LoadedGenerator,
    n: int,
    seed: int,
    labels: Tensor | None,
    batch_size: int,
    codes: Codes | None,
    options: dict[str, Any],
) -> Batches:
    producer = loaded.producer(seed, batch_size, **options)
    for low in range(0, n, batch_size):
        high = min(low + batch_size, n)
        chosen = labels[low:high] if labels is not None else None
        yield producer(low, high, chosen, loaded.code_values(codes, high - low))["images"].cpu()


def _writer(loaded: LoadedGenerator, out: Path, columns: int | None) -> Callable[[Path, Batches], None]:
    """Return the function that writes this generator's output to such a path."""
    suffix = out.suffix.lower() if not out.is_dir() else ""
    if len(loaded.image_shape) != 3:
        if suffix in POINTS:
            return _write_points
        raise UserError(f"This generator makes points, not images: give out= a file ending in {' or '.join(POINTS)}.")
    if suffix in GRIDS:
        return lambda path, batches: _write_grid(path, batches, columns)
    if suffix[1:].isalpha():  # samples.gif is an error, samples.v2 is a folder
        raise UserError(f"out={out} is no known kind of image: end it in {', '.join(GRIDS)}, or name a folder.")
    return _write_folder


def _write_folder(out: Path, batches: Batches) -> None:
    index = 0
    for batch in batches:
        for image in to_uint8(batch):
            write_atomically(out / f"{index:05d}.png", to_pil(image).save)
            index += 1


def _write_grid(out: Path, batches: Batches, columns: int | None) -> None:
    write_atomically(out, grid(torch.cat([to_uint8(batch) for batch in batches]), columns).save)


def _write_points(out: Path, batches: Batches) -> None:
    import numpy as np

    points = torch.cat(list(batches)).numpy()
    if out.suffix.lower() == ".npy":
        write_atomically(out, lambda path: np.save(path, points))
    else:
        write_atomically(out, lambda path: np.savetxt(path, points, "%.9g", ",", header="x,y", comments=""))
