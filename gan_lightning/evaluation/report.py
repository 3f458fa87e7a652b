"""Scores in words."""

from __future__ import annotations

from collections.abc import Mapping

from gan_lightning.scores import LOWER_IS_BETTER, kind


def describe(scores: Mapping[str, float], floor: Mapping[str, float] | None = None) -> str:
    """Return the scores in one line: "fid[classifier] 3.41 (floor 1.04) · is[classifier] 8.93 ± 0.11 (real 9.39)".

    floor: scores of held-out real images, put beside where given.
    """
    stated = [name for name in scores if _mean_of(name) not in scores]
    return " · ".join(_one(name, scores, floor or {}) for name in stated) or "no scores"


def number(value: float) -> str:
    """Return four significant digits, and no exponent for what is 0 up to rounding."""
    return f"{0.0 if abs(value) < 1e-8 else value:.4g}"


def _one(name: str, scores: Mapping[str, float], floor: Mapping[str, float]) -> str:
    base, bracket, suffix = name.partition("[")
    spread = scores.get(f"{base}_std{bracket}{suffix}")
    text = f"{name} {number(scores[name])}" + (f" ± {spread:.2g}" if spread is not None else "")
    word = "floor" if LOWER_IS_BETTER.get(kind(name) or "", False) else "real"
    return text + (f" ({word} {number(floor[name])})" if name in floor else "")


def _mean_of(name: str) -> str | None:
    """Return "is[x]" for "is_std[x]", None for what is no spread."""
    base, bracket, suffix = name.partition("[")
    return base.removesuffix("_std") + bracket + suffix if base.endswith("_std") else None
