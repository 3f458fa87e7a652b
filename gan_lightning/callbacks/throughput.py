"""Measures the speed of training."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import lightning as L

from gan_lightning.callbacks.base import Callback

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class Throughput(Callback):
    """Add `images_per_second` to the training scalars: images seen by all processes per second of wall clock.

    The time includes waiting for data. It excludes evaluations and everything else between two epochs. The clock is
    read on the host without synchronising the device; fetching the scalars synchronises it anyway.
    """

    def __init__(self) -> None:
        self._excluded = True
        self._mark, self._from = 0.0, 0
        self._seconds, self._images = 0.0, 0

    def on_train_epoch_start(self, trainer: L.Trainer, module: Game) -> None:
        """Exclude the time before the epoch."""
        self._excluded = True

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Exclude the time since the last batch, when the evaluation ran."""
        self._excluded = True

    def on_train_batch_start(self, trainer: L.Trainer, module: Game, *_: object) -> None:
        """Start the clock again."""
        if self._excluded:
            self._mark, self._from, self._excluded = time.perf_counter(), module.images_seen, False

    def on_train_batch_end(self, trainer: L.Trainer, module: Game, *_: object) -> None:
        """Count the batch, and the time since the end of the previous one."""
        if self._excluded:
            return
        now = time.perf_counter()
        self._seconds += now - self._mark
        self._images += module.images_seen - self._from
        self._mark, self._from = now, module.images_seen

    def on_scalars(self, trainer: L.Trainer, module: Game, scalars: dict[str, float]) -> None:
        """Report the mean rate since the last report."""
        if scalars and self._seconds > 0 and self._images > 0:
            scalars["images_per_second"] = self._images / self._seconds
            self._seconds, self._images = 0.0, 0
