"""The exception for mistakes of the user."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the user's input. The message is one sentence: what is wrong, where, and what to do.

    The command line prints only the sentence and exits with status 1; `HYDRA_FULL_ERROR=1` adds the traceback.
    """


def nearest_first(word: str, choices: Iterable[str]) -> list[str]:
    """Return `choices` sorted by similarity to `word`, the most similar first."""
    return sorted(choices, key=lambda choice: (-difflib.SequenceMatcher(None, word, choice).ratio(), choice))


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return "'near', 'next', ..." for an error message; the most similar to `word` first."""
    return ", ".join(repr(choice) for choice in nearest_first(word, choices)) or "none"


def check_range(
    owner: str, least: float, most: float = math.inf, /, *, above: bool = False, **options: float | None
) -> None:
    """Raise UserError for the first of `owner`'s options that is NaN, infinite or not in [least, most].

    above: `least` itself is out of range too. An option that is None is not checked.
    """
    bound = f"above {least:g}" if above else f"at least {least:g}"
    bound += "" if most == math.inf else f" and at most {most:g}"
    for name, value in options.items():
        if value is None:
            continue
        if not least <= value <= most or math.isinf(value) or (above and value == least):
            raise UserError(f"{owner}.{name}={value} is out of range: it is a finite number, {bound}.")
