"""What a score's name says: `fid[classifier]` is a FID, and lower is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LOWER_IS_BETTER = {"fid": True, "kid": True, "is": False, "modes": False, "high_quality": False, "reverse_kl": True}


def kind(name: str) -> str | None:
    """Return the kind of score, a key of LOWER_IS_BETTER, without the extractor's suffix; None if it is no score."""
    base = name.partition("[")[0]
    return base if base in LOWER_IS_BETTER else None


def find(scores: Mapping[str, float], wanted: str) -> str | None:
    """Return the first name in `scores` that is `wanted` or of that kind."""
    return next((name for name in scores if name == wanted or kind(name) == wanted), None)


def first(scores: Mapping[str, float], kinds: Iterable[str]) -> str | None:
    """Return the name in `scores` of the first of `kinds` that is there."""
    return next((name for name in (find(scores, wanted) for wanted in kinds) if name), None)


def better(name: str, value: float, best: float | None) -> bool:
    """Return whether `value` beats `best`; NaN beats nothing, and any number beats None."""
    if value != value:
        return False
    lower = LOWER_IS_BETTER.get(kind(name) or "", True)
    return best is None or (value < best if lower else value > best)
