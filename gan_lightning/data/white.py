"""Finds out, once for a whole set, which value is white in its files of more than 8 bits."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from gan_lightning.data.depth import FULL, SHALLOW, UnknownWhite, automatic, check_white, largest
from gan_lightning.data.download import say
from gan_lightning.data.listing import Root, number_of
from gan_lightning.data.sources import FileImages, digest
from gan_lightning.data.trial import in_threads
from gan_lightning.errors import UserError
from gan_lightning.paths import cache_dir, write_atomically


def settled(files: FileImages, name: str, key: str) -> FileImages:
    """Return `files` with a transform that knows which value of files of more than 8 bits is white.

    If the transform's `white` is None it is found out, and is the same for all files: found for each file it would
    undo differences in brightness. A line says so. Raises UserError for files where it cannot be found out.

    name: of the set. key: the option for white.
    """
    transform: Any = files.transform
    check_white(getattr(transform, "white", None), key)
    if getattr(transform, "white", FULL) is not None:
        return files
    count, most = _deep_once(files, key)
    if not count:
        return files
    white = automatic(most)
    deep = number_of(count, "image")
    say(
        f"{name}: {deep} of more than 8 bits, with values up to {most:,.0f}, so {white:,} is white; {key}=VALUE sets it"
    )
    return files if white == FULL else files.through(replace(transform, white=white))


def _deep_once(files: FileImages, key: str) -> tuple[int, float]:
    """Return how many files have more than 8 bits and do not say which value is white, and their largest value."""
    path = cache_dir() / "images" / f"{digest('white', files.content)}.white.json"
    if not path.exists():
        names = [name for name in files.names if not name.lower().endswith(SHALLOW)]
        values = in_threads(_Look(files.root, names, key), len(names), "looking into")
        found = [value for value in values if value is not None]
        result = (len(found), max(found, default=0.0))
        write_atomically(path, lambda file: file.write_text(json.dumps(result)))
    count, most = json.loads(path.read_text())
    return count, most


@dataclass(frozen=True)
class _Look:
    root: Root
    names: list[str]
    key: str

    def __call__(self, index: int) -> float | None:
        place = self.root / self.names[index]
        try:
            return largest(place)
        except UnknownWhite as error:
            ways = f"say it by {self.key}=VALUE, or save such images with 8 or 16 bits"
            raise UserError(f"Image {place} cannot be read: {error}; {ways}.") from error
        except Exception:  # it cannot be read, which is said when all are decoded
            return None
