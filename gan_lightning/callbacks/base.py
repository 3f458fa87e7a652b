"""Callbacks of ours know more moments than Lightning's: scalars were read, an evaluation goes on, or it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import lightning as L

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game

AnyCallback = TypeVar("AnyCallback", bound=L.Callback)


class Callback(L.Callback):
    """A Lightning callback with more hooks; those without a word on it run on every process."""

    def on_scalars(self, trainer: L.Trainer, module: Game, scalars: dict[str, float]) -> None:
        """Run after training scalars were fetched, before loggers get them; may add to `scalars`."""

    def on_evaluating(self, trainer: L.Trainer, module: Game, what: str, done: int, total: int) -> None:
        """Run again and again while an evaluation goes on, on rank zero: `done` of `total` of `what` are through."""

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Run after an evaluation with its scores."""


def callbacks_of(trainer: L.Trainer, kind: type[AnyCallback]) -> list[AnyCallback]:
    """Return the trainer's callbacks of class `kind`, in its order."""
    return [callback for callback in getattr(trainer, "callbacks", []) if isinstance(callback, kind)]


def call(trainer: L.Trainer, hook: str, *arguments: object) -> None:
    """Call `hook(trainer, module, *arguments)` of every callback of ours, in the trainer's order."""
    for callback in callbacks_of(trainer, Callback):
        getattr(callback, hook)(trainer, trainer.lightning_module, *arguments)
