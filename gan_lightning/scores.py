"""Names of scores: `fid10k_train[classifier]` is the FID of 10,000 samples against the training images.

A name consists of kind, number of samples, split, `_raw`, `_std` and the extractor's suffix, in this order. All but the
kind may be missing: `is10k`, `kid1797_train_std`, `fid50k_test_raw[unverified]`, `modes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

LOWER_IS_BETTER = {
    "coverage": False,
    "d_accuracy_fake": True,
    "d_accuracy_test": False,
    "d_accuracy_train": True,
    "density": False,
    "fid": True,
    "gan_augmented": False,
    "gan_base": False,
    "gan_test": False,
    "gan_train": False,
    "high_quality": False,
    "intra_fid": True,
    "intra_lpips": False,
    "intra_ms_ssim": True,
    "is": False,
    "kid": True,
    "lpips": False,
    "modes": False,
    "ms_ssim": True,
    "nearest_ratio": False,
    "ppl_w": True,
    "ppl_z": True,
    "precision": False,
    "recall": False,
    "reverse_kl": True,
    "swd": True,
    "swd_8px": True,
    "swd_16px": True,
    "swd_24px": True,
    "swd_28px": True,
    "swd_32px": True,
    "swd_48px": True,
    "swd_64px": True,
    "swd_96px": True,
    "swd_128px": True,
    "swd_256px": True,
    "swd_512px": True,
    "swd_1024px": True,
}


class Name(NamedTuple):
    """The parts of a score's name; "" or False for a missing part."""

    kind: str
    samples: str = ""  # number: "10k", "1797"
    split: str = ""
    raw: bool = False  # of the trained weights instead of their average
    spread: bool = False  # the standard deviation of another score
    suffix: str = ""  # "[classifier]"

    def __str__(self) -> str:
        split = self.split and f"_{self.split}"
        return f"{self.kind}{self.samples}{split}{'_raw' * self.raw}{'_std' * self.spread}{self.suffix}"


def parse(name: str) -> Name | None:
    """Return the parts of a score's name; None if it is not one."""
    found = _pattern(tuple(LOWER_IS_BETTER)).fullmatch(name)
    if found is None:
        return None
    kind, samples, split, raw, spread, suffix = (part or "" for part in found.groups())
    return Name(kind, samples, split, bool(raw), bool(spread), suffix)


def short_count(number: int) -> str:
    """Return thousands as k: "10k", "1797"."""
    return f"{number // 1000}k" if number and number % 1000 == 0 else str(number)


def kind(name: str) -> str | None:
    """Return the kind of score, a key of LOWER_IS_BETTER; None if it is not a score, or is a standard deviation."""
    parts = parse(name)
    return parts.kind if parts is not None and not parts.spread else None


def mean_of(name: str) -> str | None:
    """Return "is10k[x]" for "is10k_std[x]", None if it is not a standard deviation."""
    parts = parse(name)
    return str(parts._replace(spread=False)) if parts is not None and parts.spread else None


def spread_of(name: str) -> str | None:
    """Return "is10k_std[x]" for "is10k[x]", None for a score without one."""
    parts = parse(name)
    return str(parts._replace(spread=True)) if parts is not None and not parts.spread else None


def find(scores: Mapping[str, float], wanted: str) -> str | None:
    """Return the first name in `scores` that matches `wanted`, which may be only a kind."""
    if wanted in scores:
        return wanted
    return next((name for name in scores if _fits(parse(wanted), parse(name))), None)


def first(scores: Mapping[str, float], kinds: Iterable[str]) -> str | None:
    """Return the name in `scores` of the first of `kinds` that exists there."""
    return next((name for name in (find(scores, wanted) for wanted in kinds) if name), None)


def better(name: str, value: float, best: float | None) -> bool:
    """Return whether `value` is better than `best`; NaN never is, and any number is better than None."""
    if value != value:
        return False
    lower = LOWER_IS_BETTER.get(kind(name) or "", True)
    return best is None or (value < best if lower else value > best)


def _fits(wanted: Name | None, name: Name | None) -> bool:
    if wanted is None or name is None or wanted.spread != name.spread:
        return False
    return all(mine in ("", False, other) for mine, other in zip(wanted, name, strict=True))


@lru_cache
def _pattern(kinds: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = "|".join(sorted(map(re.escape, kinds), key=len, reverse=True))
    return re.compile(rf"({longest_first})(?:(\d+k?)(?:_((?!raw|std)\w+?))?)?(_raw)?(_std)?(\[.*\])?")
