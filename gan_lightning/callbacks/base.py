"""Callbacks of ours know two moments more than Lightning's: scalars were read, and an evaluation ended."""

from __future__ import annotations

import lightning as L


class Callback(L.Callback):
    """A Lightning callback with two more hooks; both run on every process."""

    def on_scalars(self, trainer: L.Trainer, module: L.LightningModule, scalars: dict[str, float]) -> None:
        """Run after training scalars were fetched, before loggers get them; may add to `scalars`."""

    def on_scores(self, trainer: L.Trainer, module: L.LightningModule, scores: dict[str, float]) -> None:
        """Run after an evaluation with its scores."""


def call(trainer: L.Trainer, hook: str, *arguments: object) -> None:
    """Call `hook(trainer, module, *arguments)` of every callback of ours, in the trainer's order."""
    for callback in trainer.callbacks:
        if isinstance(callback, Callback):
            getattr(callback, hook)(trainer, trainer.lightning_module, *arguments)
