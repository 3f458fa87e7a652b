"""Limits the length of a run in images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import lightning as L

from gan_lightning.callbacks.base import Callback
from gan_lightning.errors import UserError

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class Limit(Callback):
    """Stop after the first iteration at which the discriminator has seen `max_kimg` thousand images. None: no limit."""

    def __init__(self, max_kimg: float | None = None) -> None:
        if max_kimg is not None and not 0 < max_kimg < math.inf:
            raise UserError(f"max_kimg={max_kimg} is no length for a run; give a number above 0, or null for no limit.")
        self.max_images = None if max_kimg is None else round(max_kimg * 1000)

    def on_train_start(self, trainer: L.Trainer, module: Game) -> None:
        """Stop at once if a resumed run has already reached the limit."""
        self._stop_at_limit(trainer, module)

    def on_train_batch_end(self, trainer: L.Trainer, module: Game, *_: object) -> None:
        """Stop if the limit is reached, also within an epoch."""
        self._stop_at_limit(trainer, module)

    def _stop_at_limit(self, trainer: L.Trainer, module: Game) -> None:
        if self.max_images is not None and module.images_seen >= self.max_images:
            trainer.should_stop = True
