"""The one exception that is meant for the user's eyes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the user's input, told in one sentence: what is wrong, where, and what to do.

    The command line prints only the sentence and exits with status 1; `HYDRA_FULL_ERROR=1` adds the traceback.
    """


def nearest_first(word: str, choices: Iterable[str]) -> list[str]:
    """Return `choices` sorted by similarity to `word`, the likeliest meant one first."""
    return sorted(choices, key=lambda choice: (-difflib.SequenceMatcher(None, word, choice).ratio(), choice))


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return "'near', 'next', ..." for an error message; `choices` nearest to `word` first."""
    return ", ".join(repr(choice) for choice in nearest_first(word, choices)) or "none"
