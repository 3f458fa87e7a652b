"""Scores in words."""

from __future__ import annotations

from collections.abc import Mapping

from gan_lightning.scores import LOWER_IS_BETTER, kind, mean_of, spread_of


def describe(scores: Mapping[str, float], floor: Mapping[str, float] | None = None) -> str:
    """Return the scores in one line: "fid10k_train 3.41 (floor 1.04) · is10k 8.93 ± 0.11 (real 9.39)".

    floor: scores of held-out real images, put beside where given.
    """
    stated = [name for name in scores if mean_of(name) not in scores]
    return " · ".join(_one(name, scores, floor or {}) for name in stated) or "no scores"


def number(value: float) -> str:
    """Return four significant digits, and no exponent for what is 0 up to rounding."""
    return f"{0.0 if abs(value) < 1e-8 else value:.4g}"


def _one(name: str, scores: Mapping[str, float], floor: Mapping[str, float]) -> str:
    spread = scores.get(spread_of(name) or "")
    text = f"{name} {number(scores[name])}" + (f" ± {spread:.2g}" if spread is not None else "")
    word = "floor" if LOWER_IS_BETTER.get(kind(name) or "", False) else "real"
    return text + (f" ({word} {number(floor[name])})" if name in floor else "")
