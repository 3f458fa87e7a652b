"""Base class of our callbacks, with further hooks: after scalars were fetched, during and after an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lightning as L

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class Callback(L.Callback):
    """A Lightning callback with further hooks. A hook runs on every process unless its docstring says otherwise."""

    def on_scalars(self, trainer: L.Trainer, module: Game, scalars: dict[str, float]) -> None:
        """Run after training scalars were fetched, before loggers get them; may add to `scalars`."""

    def on_evaluating(self, trainer: L.Trainer, module: Game, what: str, done: int, total: int) -> None:
        """Run repeatedly during an evaluation, on rank zero: `done` of `total` of `what` are finished."""

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Run after an evaluation with its scores."""
