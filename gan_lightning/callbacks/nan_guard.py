"""Stops a run at the first NaN or infinite scalar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import lightning as L

from gan_lightning.callbacks.base import Callback
from gan_lightning.callbacks.checkpoint import Checkpoint
from gan_lightning.errors import UserError
from gan_lightning.hooks import callbacks_of

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class NanGuard(Callback):
    """Stop the run when a scalar is NaN or infinite; the error says which one, when, and which checkpoint is left.

    Scalars are means over processes, so all processes stop together.
    """

    def on_scalars(self, trainer: L.Trainer, module: Game, scalars: dict[str, float]) -> None:
        """Raise UserError for the first scalar that is not finite."""
        for name, value in scalars.items():
            if not math.isfinite(value):
                raise UserError(
                    f"Training broke down: {name} is {value} at {module.images_seen} images seen "
                    f"({_way_back(trainer)}); try a lower learning rate, a gradient penalty, or a higher precision."
                )


def _way_back(trainer: L.Trainer) -> str:
    paths = [checkpoint.last_path(trainer) for checkpoint in callbacks_of(trainer, Checkpoint)]
    good = next((path for path in paths if path.exists()), None)
    return f"the last good checkpoint is {good}" if good else "there is no checkpoint from before"
