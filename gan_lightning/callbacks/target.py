"""Stops training when scores have reached given values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import lightning as L

from gan_lightning.callbacks.base import Callback
from gan_lightning.errors import UserError, check_range, suggest
from gan_lightning.scores import LOWER_IS_BETTER, find

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game

SHARES = ("high_quality", "precision", "recall", "coverage")  # in [0, 1]


class Target(Callback):
    """Stop when every given score reaches its threshold: `fid=5` means FID <= 5, `is=8` means IS >= 8.

    A threshold applies to a score with any protocol (`fid` also to `fid10k_train[classifier]`); None: no threshold.
    Names are keyword arguments (`**thresholds`), because `is` cannot be the name of a parameter in Python.
    """

    def __init__(self, **thresholds: float | None) -> None:
        for name, value in thresholds.items():
            if name not in LOWER_IS_BETTER:
                raise UserError(
                    f"callbacks.target knows no score {name!r}; choose from {suggest(name, LOWER_IS_BETTER)}."
                )
            given: dict[str, Any] = {name: value}
            check_range("callbacks.target", 0, 1 if name in SHARES else math.inf, **given)
        self.thresholds = {name: value for name, value in thresholds.items() if value is not None}

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Ask the trainer to stop when all thresholds are reached."""
        found = {name: key for name in self.thresholds if (key := find(scores, name))}
        reached = [self._reached(name, scores[key]) for name, key in found.items()]
        if not reached or not all(reached) or len(reached) < len(self.thresholds):
            return
        trainer.should_stop = True
        if trainer.is_global_zero:
            told = ", ".join(f"{key} {scores[key]:.4g}" for key in found.values())
            print(f"Target reached at {module.images_seen / 1000:g} kimg: {told}.")

    def _reached(self, name: str, value: float) -> bool:
        threshold = self.thresholds[name]
        return value <= threshold if LOWER_IS_BETTER[name] else value >= threshold
