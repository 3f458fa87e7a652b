"""Callbacks of ours know more moments than Lightning's: scalars were read, an evaluation goes on, or it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lightning as L

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class Callback(L.Callback):
    """A Lightning callback with more hooks; those without a word on it run on every process."""

    def on_scalars(self, trainer: L.Trainer, module: Game, scalars: dict[str, float]) -> None:
        """Run after training scalars were fetched, before loggers get them; may add to `scalars`."""

    def on_evaluating(self, trainer: L.Trainer, module: Game, what: str, done: int, total: int) -> None:
        """Run again and again while an evaluation goes on, on rank zero: `done` of `total` of `what` are through."""

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Run after an evaluation with its scores."""
