"""Which images of a folder are held out as the split "test": a share by name, or a sub-folder.

This module does not import torch, since the command line counts classes before it composes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from gan_lightning.data.class_order import natural_order, plain
from gan_lightning.errors import UserError

Wanted = float | str | None
TRAINED = "train"  # the folder beside the one that is held out, if there is one


@dataclass(frozen=True)
class Holdout:
    """Divides names of images, relative to the root and with "/", into the splits "train" and "test".

    share: of the images that is held out; a name's hash decides, so that an image stays in its split when others are
    added, removed or renamed. tests, trained: the folders of the splits, such as "test/" and "train/" or "" for all
    but the other; used if there is no share.
    """

    share: float = 0.0
    tests: str = ""
    trained: str = ""

    def split(self, name: str) -> str:
        """Return the split of an image; "" for one that is in neither folder."""
        if not self.tests:
            return "test" if hash_of(name) < self.share else "train"
        if name.startswith(self.tests):
            return "test"
        return "train" if name.startswith(self.trained) else ""

    def inner(self, name: str) -> str:
        """Return the name of an image within the folder of its split."""
        return name.removeprefix({"test": self.tests, "train": self.trained}.get(self.split(name), ""))


def is_share(holdout: Wanted) -> bool:
    """Return whether `data.holdout` is a share of the images and no folder's name."""
    return isinstance(holdout, float) or holdout in (0, 1)


def check_holdout(holdout: Wanted) -> None:
    """Raise UserError for a share that is not between 0 and 1."""
    if isinstance(holdout, bool) or (is_share(holdout) and not 0 < float(holdout or 0) < 1):
        raise UserError(
            f"data.holdout={holdout} is not possible; it is a share between 0 and 1, such as 0.1, or the name of a "
            "folder in data.root, such as test."
        )


def divided(holdout: Wanted, folders: Iterable[str]) -> Holdout:
    """Return how `data.holdout` divides images; UserError if it is a folder's name and not among `folders`.

    folders: the names of those directly in the root.
    """
    if holdout is None:
        return Holdout()
    if isinstance(holdout, float):
        return Holdout(holdout)
    there = set(folders)
    if str(holdout) not in there:
        near = ", ".join(natural_order(there)[:10]) or "none"
        raise UserError(f"data.holdout={holdout} is no folder in data.root (there: {near}), and no share such as 0.1.")
    return Holdout(tests=f"{holdout}/", trained=f"{TRAINED}/" if TRAINED in there - {str(holdout)} else "")


def hash_of(name: str) -> float:
    """Return a number in [0, 1) that depends on the name of an image alone."""
    return int.from_bytes(hashlib.blake2b(plain(name).encode(errors="surrogateescape"), digest_size=7).digest()) / 2**56
