"""The classes of a folder of images, known before any image is listed: by its class folders, or by a file of labels.

This module does not import torch, since the command line counts classes before it composes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from gan_lightning.data.class_order import natural_order
from gan_lightning.data.holdout import TRAINED, Wanted, is_share
from gan_lightning.data.label_files import is_labels_file, labels_file
from gan_lightning.data.listing import listed, mark, top_folders
from gan_lightning.data.names import hidden

FOLDERS = "folders"


def folder_class_names(root: str, labels: str, holdout: Wanted = None) -> list[str]:
    """Return the classes in natural order: those of a file of labels, else the class folders; [] for no `root`.

    With the folder of a held-out split, class folders are those in the folder `train` beside it, else all others.
    Raises UserError for a file of labels that cannot be read.
    """
    path, file = Path(root).expanduser(), Path(labels).expanduser()
    if labels != FOLDERS:
        marks = mark(path), mark(path / labels), mark(file)  # a million rows are not read once for each use
        return list(_in_file(root, labels, marks)) if is_labels_file(labels) and path.exists() else []
    tops = top_folders(root)
    if holdout is None or is_share(holdout):
        return natural_order(tops)
    if TRAINED in tops and str(holdout) != TRAINED:
        return natural_order(_below(path, TRAINED))
    return natural_order(name for name in tops if name != str(holdout))


def _below(root: Path, folder: str) -> list[str]:
    """Return the folders in a folder of the root."""
    return top_folders(root / folder) if root.is_dir() else list(_packed_below(root, folder, mark(root)))


@cache
def _packed_below(archive: Path, folder: str, mark: tuple[int, int]) -> tuple[str, ...]:
    parts = (name.split("/") for name in listed(archive).names)
    return tuple({part[1] for part in parts if part[0] == folder and len(part) > 2 and not hidden(part[1])})


@cache
def _in_file(root: str, labels: str, marks: tuple[tuple[int, int], ...]) -> tuple[str, ...]:
    return tuple(labels_file(root, labels).classes)
