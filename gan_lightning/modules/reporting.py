"""How a training module tells loggers and callbacks what it measured."""

from __future__ import annotations

from typing import Any

import torch

from gan_lightning.callbacks.base import call
from gan_lightning.training.distributed import mean_over_processes


class Reporting:
    """Mixin of LightningModules: progress counters, the latest scalars and scores, and their way to the loggers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.iteration = 0
        self.images_seen = 0
        self.latest: dict[str, float] = {}
        self.scores: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.max_kimg: float | None = None

    def flush(self) -> dict[str, float]:
        """Fetch the training scalars gathered so far, tell callbacks and loggers, and return them."""
        reduce = mean_over_processes if self.trainer.world_size > 1 else None
        scalars = self.scalars.flush(reduce)
        if scalars:
            scalars |= {f"lr/{name}": player.learning_rate for name, player in self.players.items()}
            self.latest = scalars
            call(self.trainer, "on_scalars", scalars)
            self.report(scalars)
        return self.latest

    def report(self, values: dict[str, float]) -> None:
        """Send `values` to all loggers at the present `images_seen`; only rank zero's write."""
        row = {**values, "images_seen": self.images_seen, "epoch": self.trainer.current_epoch}
        for logger in self.trainer.loggers:
            logger.log_metrics(row, step=self.images_seen)

    def on_train_end(self) -> None:
        """Report what the last iterations left."""
        with torch.no_grad():
            self.flush()
