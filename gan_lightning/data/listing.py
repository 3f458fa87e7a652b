"""What images there are in a folder or an archive: one listing for training, evaluation and all that takes files.

This module does not import torch, since the command line counts class folders before it composes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gan_lightning.data.archives import ARCHIVES, Archive, Member, archive, is_archive
from gan_lightning.data.names import hidden, left_out
from gan_lightning.errors import UserError

Root = Path | Archive
Place = Path | Member  # root / name


@dataclass(frozen=True)
class Listing:
    """The images of a folder or an archive, and what is left out.

    names: relative to `root`, with "/", sorted. others: how many files are left out, by ending, such as {".txt": 3}.
    closed: folders that cannot be read, each with the reason.
    """

    root: Root
    names: list[str]
    others: dict[str, int]
    closed: list[str]

    def line(self, name: str, classes: int = 0) -> str:
        """Return what was found, such as "folder: 55 images of 2 classes; left out: 3 .txt, 1 .mp4"."""
        found = f"{name}: {number_of(len(self.names), 'image')}" + f" of {number_of(classes, 'class')}" * bool(classes)
        left = [f"{count:,} {ending}" for ending, count in sorted(self.others.items(), key=lambda item: -item[1])]
        left += [number_of(len(self.closed), "folder") + " that cannot be read"] if self.closed else []
        return found + f"; left out: {', '.join(left)}" * bool(left)

    def check_closed(self, advice: str = "") -> None:
        """Raise UserError if a folder could not be read; `advice` says what may be done beside opening it."""
        if self.closed:
            more = f", and {len(self.closed) - 1:,} more" * (len(self.closed) > 1)
            raise UserError(f"Folder {self.closed[0]}{more} cannot be read; change its permissions{advice}.")


def opened(path: str | Path) -> Root | None:
    """Return the folder or archive `path`, None if it is neither; UserError for an archive that cannot be read."""
    path = Path(path).expanduser()
    if path.is_dir():
        return path
    return archive(path) if is_archive(path) else None


def listed(path: str | Path, key: str = "data.root=") -> Listing:
    """Return what is in the folder or archive `path`, at any depth; UserError if it is neither.

    Links to folders are followed, and each folder is listed once. Hidden files, and those that macOS adds to archives,
    are left out. A file named as an image is listed even if it cannot be read.
    """
    root = opened(path)
    if root is None:
        raise UserError(
            f"{key}{Path(path).expanduser().absolute()} is not a folder; give the path of a folder of images, or of a "
            f"file {', '.join(ARCHIVES)}."
        )
    closed: list[str] = []
    names, others = [], Counter[str]()
    for name in root.names if isinstance(root, Archive) else _walk(root, closed):
        if what := left_out(name):
            others[what] += 1
        else:
            names.append(name)
    return Listing(root, sorted(names), dict(others), closed)


def top_folders(path: str | Path) -> list[str]:
    """Return the sorted names of the folders at the top of folder or archive `path`; [] if there is no such thing."""
    path = Path(path).expanduser()
    try:
        if is_archive(path):
            stat = path.stat()
            return list(_tops(path, stat.st_size, stat.st_mtime_ns))
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if _is_folder(entry) and not hidden(entry.name))
    except (OSError, UserError):  # why is said when the images are listed
        return []


def mark(place: Place) -> tuple[int, int]:
    """Return two numbers that change with a file's content: its size and time of modification; -1 if it is not there.

    What cannot be read has a fingerprint too, so that it is named together with all other bad files.
    """
    try:
        if isinstance(place, Member):
            return place.mark()
        stat = place.stat()
        if not os.access(place, os.R_OK):  # so that it counts as another file once it may be read
            return -1, -1
        return stat.st_size, stat.st_mtime_ns
    except OSError:
        return -1, -1


def number_of(count: int, thing: str) -> str:
    """Return such as "1 image", "2,000 classes"."""
    return f"{count:,} {thing}" + ("" if count == 1 else "es" if thing.endswith("s") else "s")


@cache
def _tops(path: Path, size: int, mtime: int) -> tuple[str, ...]:
    names = (name.split("/") for name in archive(path).names)
    return tuple(sorted({parts[0] for parts in names if len(parts) > 1 and not hidden(parts[0])}))


def _walk(root: Path, closed: list[str]) -> Iterator[str]:
    """Yield the names of all files below `root`; append folders that cannot be read to `closed`.

    A link is followed after all real folders, so that the name of an image does not depend on the order on the disk.
    """
    folders, seen = [""], set()
    links: list[str] = []
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(root / folder)
        if real in seen:
            continue
        seen.add(real)
        for entry in _entries(root / folder, closed):
            name = f"{folder}{entry.name}"
            if not _is_folder(entry):
                yield name
            elif not hidden(entry.name):
                (links if entry.is_symlink() else folders).append(f"{name}/")


def _entries(folder: Path, closed: list[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        closed.append(f"{folder} ({error.strerror})")
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or into a closed folder: found out when it is read
        return False
