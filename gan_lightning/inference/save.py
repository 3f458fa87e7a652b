"""Samples as files: a folder of PNGs, one grid, or points as CSV or NumPy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.inference.load import Codes, Labels, LoadedGenerator, check_count
from gan_lightning.inference.sampling import random_labels
from gan_lightning.paths import write_atomically
from gan_lightning.pixels import grid, to_pil, to_uint8

GRIDS = (".png", ".jpg", ".jpeg", ".webp")
POINTS = (".csv", ".npy")
MANY = 64  # samples where no number is given
SAFE = re.compile(r"(?!\.)[^/\\:*?\"<>|\x00-\x1f]{1,100}(?<![ .])")  # a folder's name on any system, in sight
Batches = Iterator[Tensor]


def save_samples(
    loaded: LoadedGenerator,
    out: Path | str,
    n: int | None = None,
    seed: int | Sequence[int] = 0,
    labels: Labels | None = None,
    batch_size: int = 64,
    overwrite: bool = False,
    codes: Codes | None = None,
    by_class: bool = False,
    **options: Any,
) -> Path:
    """Write `n` samples to `out` and return it.

    A folder gets 00000.png, 00001.png, ...; a .png (.jpg, .webp) becomes one grid; 2-D points go to a .csv or .npy.
    n: None is 64. seed: of a stream of samples; or several, then the first sample of each, as seed_5.png.
    labels: as in LoadedGenerator.sample, or "all" for all classes in turn (a grid then has a column for each class).
    by_class: a folder for each class within `out`, named for it, as data.labels=folders reads it.
    codes, options: as in LoadedGenerator.sample.
    Raises UserError if files exist (unless overwrite) or `out` cannot be written.
    """
    out = Path(out).expanduser()
    check_count("batch_size", batch_size)
    seeds, n = check_seeds(seed, n)
    columns = None
    if isinstance(labels, str) and labels == "all" and "all" not in (loaded.class_names or ()):
        columns = loaded.num_classes or None
        labels = torch.arange(n) % (loaded.num_classes or 1)
    chosen = loaded.class_labels(labels, n)
    if by_class:
        _check_folder(loaded, out)
        chosen = _drawn(loaded, seeds, n) if chosen is None else chosen
    loaded.code_values(codes, n)  # raise before files are written
    loaded.sampler(**options)
    write = _writer(loaded, out, columns, _names(loaded, seeds, n, chosen if by_class else None))
    make_room(out, overwrite)
    with writing(out):
        write(out, _batches(loaded, n, seeds, chosen, batch_size, codes, options))
    return out


def check_seeds(seed: int | Sequence[int], n: int | None) -> tuple[int | list[int], int]:
    """Return the seed or seeds, and the number of samples; UserError for seeds that are none, or doubled."""
    if isinstance(seed, int) and not isinstance(seed, bool):
        n = MANY if n is None else n
        check_count("n", n)
        return seed, n
    seeds = list(seed) if isinstance(seed, Sequence) and not isinstance(seed, str) else []
    if not seeds or any(not isinstance(one, int) or isinstance(one, bool) for one in seeds):
        raise UserError(f"seed={seed} is not possible: it is a whole number, or a list of them, such as [1,5,9].")
    if twice := [one for one in seeds if seeds.count(one) > 1]:
        raise UserError(f"seed={twice[0]} is in the list {seeds.count(twice[0])} times: name each seed once.")
    if n is not None and n != len(seeds):
        raise UserError(f"n={n} does not go with {len(seeds)} seeds, which give one sample each: leave n out.")
    return seeds, len(seeds)


def _check_folder(loaded: LoadedGenerator, out: Path) -> None:
    if not loaded.num_classes:
        raise UserError(f"by_class=true sorts samples by class, and the generator in {loaded.path} has no classes.")
    if out.suffix.lower() in (*GRIDS, *POINTS) and not out.is_dir():
        raise UserError(f"by_class=true writes a folder for each class: give out= a folder, not {out}.")


def _drawn(loaded: LoadedGenerator, seeds: int | list[int], n: int) -> Tensor:
    """Return the classes `(n,)` that the samples have where none are asked for."""
    if isinstance(seeds, int):
        return random_labels(loaded.num_classes, 0, n, seeds)
    return torch.cat([random_labels(loaded.num_classes, 0, 1, seed) for seed in seeds])


def _names(loaded: LoadedGenerator, seeds: int | list[int], n: int, labels: Tensor | None) -> list[str]:
    """Return the names of the files in a folder, with their folder if there are `labels`."""
    names = [f"{index:05d}.png" for index in range(n)] if isinstance(seeds, int) else [f"seed_{s}.png" for s in seeds]
    if labels is None:
        return names
    folders = class_folders(loaded.class_names, loaded.num_classes)
    return [f"{folders[label]}/{name}" for label, name in zip(labels.tolist(), names, strict=True)]


def class_folders(names: Sequence[str] | None, count: int) -> list[str]:
    """Return the name of a folder for each class: the class's own if all can be folders' names, else class_07.

    Names come from a file that anybody may have made, and must lead nowhere else; two that differ in case alone are one
    folder on some systems.
    """
    own = list(names or ())
    if own and all(map(SAFE.fullmatch, own)) and len({name.casefold() for name in own}) == count:
        return own
    return [f"class_{number:0{len(str(count - 1))}d}" for number in range(count)]


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
    seeds: int | list[int],
    labels: Tensor | None,
    batch_size: int,
    codes: Codes | None,
    options: dict[str, Any],
) -> Batches:
    if isinstance(seeds, int):
        parts = [(seeds, low, min(low + batch_size, n)) for low in range(0, n, batch_size)]
    else:
        parts = [(seed, 0, 1) for seed in seeds]
    done = 0
    for seed, low, high in parts:
        chosen = None if labels is None else labels[done : done + high - low]
        done += high - low
        producer = loaded.producer(seed, batch_size, **options)
        yield producer(low, high, chosen, loaded.code_values(codes, high - low))["images"].cpu()


def _writer(
    loaded: LoadedGenerator, out: Path, columns: int | None, names: list[str]
) -> Callable[[Path, Batches], None]:
    """Return the function that writes this generator's output to such a path; `names` of files in a folder."""
    suffix = out.suffix.lower() if not out.is_dir() else ""
    if len(loaded.image_shape) != 3:
        if suffix in POINTS:
            return _write_points
        raise UserError(f"This generator makes points, not images: give out= a file ending in {' or '.join(POINTS)}.")
    if suffix in GRIDS:
        return lambda path, batches: _write_grid(path, batches, columns)
    if suffix[1:].isalpha():  # samples.gif is an error, samples.v2 is a folder
        raise UserError(f"out={out} is no known kind of image: end it in {', '.join(GRIDS)}, or name a folder.")
    return lambda path, batches: _write_folder(path, batches, names)


def _write_folder(out: Path, batches: Batches, names: list[str]) -> None:
    images = (image for batch in batches for image in to_uint8(batch))
    for name, image in zip(names, images, strict=True):
        write_atomically(out / name, to_pil(image).save)


def _write_grid(out: Path, batches: Batches, columns: int | None) -> None:
    write_atomically(out, grid(torch.cat([to_uint8(batch) for batch in batches]), columns).save)


def _write_points(out: Path, batches: Batches) -> None:
    import numpy as np

    points = torch.cat(list(batches)).numpy()
    if out.suffix.lower() == ".npy":
        write_atomically(out, lambda path: np.save(path, points))
    else:
        write_atomically(out, lambda path: np.savetxt(path, points, "%.9g", ",", header="x,y", comments=""))
