"""Finds the files that `ckpt=` names: one, several, all of a run, or one for each run of a sweep."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_lightning.errors import UserError
from gan_lightning.inference.read import locate

WHICH = ("best", "all")


class Found(NamedTuple):
    """A checkpoint: its file, the folder of its run, and a name that distinguishes it from others found with it."""

    path: Path
    run: Path
    name: str


def find(given: Any, which: str) -> list[Found]:
    """Return the checkpoints for `given`, one path or several.

    For a run's folder this is its best checkpoint, or all with which="all". For a folder of several runs, such as a
    sweep's, these are the checkpoints of each run. Raises UserError for a path without a checkpoint.
    """
    if which not in WHICH:
        raise UserError(f"checkpoints={which} is not known: choose best, or all of each run's.")
    paths = [str(given)] if isinstance(given, str | Path) else [str(path) for path in given]
    if not paths:
        raise UserError("ckpt=[] names no checkpoint: give one, several as ckpt=[A,B], or a folder.")
    files = dict.fromkeys(file for path in paths for file in _files(Path(path).expanduser(), which))
    names = _names(list(files))
    return [Found(file, _run(file), name) for file, name in zip(files, names, strict=True)]


def _files(path: Path, which: str) -> list[Path]:
    if not path.is_dir():
        return [locate(path)]
    if _is_run(path):
        return _all(path) if which == "all" else [locate(path)]
    runs = sorted({_run(file) for file in _generators(path)}, key=lambda run: _natural(str(run.relative_to(path))))
    return [file for run in runs for file in (_all(run) if which == "all" else [locate(run)])] or [locate(path)]


def _all(run: Path) -> list[Path]:
    """Return the checkpoints of a run, or its exported generator if there are none."""
    files = [*run.glob("checkpoints/*.ckpt"), *run.glob("*.ckpt")]
    found = sorted((file for file in files if file.name[0] != "."), key=lambda file: _natural(file.name))
    return found or [run / "generator.safetensors"]


def _is_run(folder: Path) -> bool:
    return any(_run(file) == folder for place in (folder, folder / "checkpoints") for file in _generators(place, ""))


def _generators(folder: Path, below: str = "**/") -> Iterable[Path]:
    files = [*folder.glob(f"{below}*.ckpt"), *folder.glob(f"{below}generator.safetensors")]
    return [file for file in files if file.name[0] != "."]  # a leading dot: incomplete


def _run(file: Path) -> Path:
    return file.parent.parent if file.parent.name == "checkpoints" else file.parent


def _names(files: Sequence[Path]) -> list[str]:
    """Return each path without the parts common to all, and without the folder "checkpoints"."""
    paths = [file.resolve() for file in files]
    common = os.path.commonpath([_run(path) for path in paths])
    return [os.path.relpath(path, common).replace(f"checkpoints{os.sep}", "") for path in paths]


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key: runs 2 and 10 of a sweep, or 400 and 1200 kimg, in this order."""
    return [(int(part or 0), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
