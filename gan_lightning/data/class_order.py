"""The order of class names, and which class a word means; for folders, labels files and trained generators alike.

This module does not import torch, since the command line counts classes before it composes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from gan_lightning.errors import UserError, nearest_first

NUMBER = re.compile(r"0|[1-9][0-9]*")  # as Python writes it: 007 is a name


def natural_order(names: Iterable[str]) -> list[str]:
    """Return `names` sorted with the numbers in them by value: 0, 1, 2, 10 and img2, img10; 7 comes before 007."""
    return sorted(names, key=natural)


def natural(name: str) -> tuple[list[tuple[int, str]], int, str]:
    """Return the key of a name in natural order: its texts and numbers in turn, then the number of leading zeros."""
    parts = re.split("([0-9]+)", name)  # a text at each even place, a number at each odd one
    values = [part.lstrip("0") if place % 2 else part for place, part in enumerate(parts)]
    keys = [(len(value) if place % 2 else 0, value) for place, value in enumerate(values)]
    return keys, len(name), name


def plain(name: str) -> str:
    """Return `name` with each accented letter as one character: file systems and keyboards write them differently."""
    return unicodedata.normalize("NFC", name)


def class_number(word: int | str, names: Sequence[str] | None, count: int) -> int:
    """Return the number, from 0, of the class that `word` means: a name, or a number, which may also be a text.

    A name comes first: 2 is the class called "2" if there is one. Any other number counts from 0, but not where a class
    is called by a number that is not its place, such as "1" to "10": there a number is a name.
    names: of the `count` classes, None if they have none. Raises UserError for a word that means no class, or several.
    """
    known = [plain(name) for name in names or ()]
    text = plain(str(word))
    if known.count(text) > 1:
        places = " or ".join(str(place) for place, name in enumerate(known) if name == text)
        raise UserError(f"{known.count(text)} classes are called {text!r}: give the number, {places}.")
    if text in known:
        return known.index(text)
    if not NUMBER.fullmatch(text.removeprefix("-")):
        raise UserError(f"There is no class called {text!r}: choose one of {_nearest(text, known)}.")
    if any(NUMBER.fullmatch(bare(name)) and int(bare(name)) != place for place, name in enumerate(known)):
        raise UserError(
            f"There is no class called {text}, and a number is a name where classes are called by numbers: choose one "
            f"of {_nearest(text, known)}."
        )
    if not 0 <= int(text) < count:
        raise UserError(f"There is no class {text}: the generator knows 0 to {count - 1}.")
    return int(text)


def bare(name: str) -> str:
    """Return `name` without leading zeros."""
    return name.lstrip("0") or "0" * bool(name)


def _nearest(word: str, names: Sequence[str], most: int = 20) -> str:
    """Return the names most similar to `word` as in a sentence."""
    near = [repr(name) for name in nearest_first(word, names)]
    return ", ".join(near[:most]) + f", ... ({len(near):,} in all)" * (len(near) > most) or "none"
