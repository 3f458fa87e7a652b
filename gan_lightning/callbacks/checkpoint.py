"""Saves full training states: the last one, and the best one by a score."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint as LightningCheckpoint

from gan_lightning.callbacks.base import Callback
from gan_lightning.callbacks.every import EveryKimg, EverySeconds
from gan_lightning.callbacks.interrupt import DeferredInterrupt
from gan_lightning.errors import UserError, check_range
from gan_lightning.paths import write_atomically
from gan_lightning.scores import better, find, first

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game

BY_DEFAULT = ["fid", "high_quality", "is"]


class Checkpoint(Callback, LightningCheckpoint):
    """Keep `checkpoints/last.ckpt`, `best.ckpt` and any others in the run folder; all are complete and finite.

    every_minutes, every_kimg: minutes, or thousand images, between two saves; None: not used. The state is also saved
        after each new best score, at the end, and on Ctrl-C or an error between two iterations. It is not saved if an
        iteration was interrupted, since its networks are partly updated. A first Ctrl-C waits for the end of the
        iteration.
    keep_every_kimg: thousand images between two states that are kept, named by the images seen; None: none are kept.
    monitor: the score that selects the best state, with or without its extractor's suffix. None takes FID; if there is
        none, the share of high-quality samples (2-D mixtures); else IS.

    Several processes agree on the clock and on Ctrl-C when scalars are fetched, so that no step waits for it.
    Lightning's own class counts optimiser steps, and in manual optimisation it never saves by time.
    """

    def __init__(
        self,
        every_minutes: float | None = 10,
        every_kimg: float | None = None,
        keep_every_kimg: float | None = None,
        monitor: str | None = None,
    ) -> None:
        often = {"every_minutes": every_minutes, "every_kimg": every_kimg, "keep_every_kimg": keep_every_kimg}
        check_range("callbacks.checkpoint", 0, above=True, **often)
        self.monitor = monitor
        self.best_score: float | None = None
        self.best_name: str | None = None
        self._clock = EverySeconds(None if every_minutes is None else every_minutes * 60)
        self._kimg, self._keep_kimg = EveryKimg(every_kimg), EveryKimg(keep_every_kimg)
        self._interrupt = DeferredInterrupt()
        self._new_best = self._keep = False
        self._clock_due = self._interrupt_due = False
        self._saved_at: int | None = None
        self._started: int | None = None  # the iteration that was started last

    def folder(self, trainer: L.Trainer) -> Path:
        """Return the folder of the checkpoints."""
        return Path(trainer.default_root_dir) / "checkpoints"

    def last_path(self, trainer: L.Trainer) -> Path:
        """Return the path of the newest state; it may not exist yet."""
        return self.folder(trainer) / "last.ckpt"

    def best_path(self, trainer: L.Trainer) -> Path:
        """Return the path of the state with the best score; it may not exist."""
        return self.folder(trainer) / "best.ckpt"

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and its name."""
        return {"best_score": self.best_score, "best_name": self.best_name}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best score of the checkpoint."""
        self.best_score, self.best_name = state_dict["best_score"], state_dict["best_name"]

    def on_train_start(self, trainer: L.Trainer, module: Game) -> None:
        """Start the clocks, and delete files that a killed process left incomplete."""
        self._clock.restart()
        self._kimg.start(module.images_seen)
        self._keep_kimg.start(module.images_seen)
        self._saved_at = module.images_seen  # a state that was just loaded is not saved again
        self._interrupt.install(lambda: trainer.world_size > 1 or self._half_moved(module))
        if trainer.is_global_zero:
            for half in self.folder(trainer).glob(".*.ckpt"):
                half.unlink(missing_ok=True)

    def on_scalars(self, trainer: L.Trainer, module: Game, scalars: dict[str, float]) -> None:
        """Let several processes agree on their clocks and on Ctrl-C."""
        if trainer.world_size > 1:
            agree = trainer.strategy.reduce_boolean_decision
            self._clock_due = agree(self._clock.due(), all=False)
            self._interrupt_due = agree(self._interrupt.requested, all=False)

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Remember a new best score; the state is saved at the end of the batch or epoch."""
        name = find(scores, self.monitor) if self.monitor else first(scores, BY_DEFAULT)
        if name and better(name, scores[name], self.best_score if name == self.best_name else None):
            self.best_name, self.best_score = name, scores[name]
            self._new_best = True

    def on_train_batch_start(self, trainer: L.Trainer, module: Game, *_: object) -> None:
        """Remember the iteration that starts now; when it ends, `module.iteration` increases."""
        self._started = module.iteration

    def on_train_batch_end(self, trainer: L.Trainer, module: Game, *_: object) -> None:
        """Save if a save is due; end the run if Ctrl-C was pressed."""
        alone = trainer.world_size == 1
        self._keep = self._keep_kimg.due(module.images_seen)
        by_images = self._kimg.due(module.images_seen) or self._keep
        if self._new_best or by_images or (self._clock.due() if alone else self._clock_due):
            self.save(trainer, module)
        if self._interrupt.requested if alone else self._interrupt_due:
            raise KeyboardInterrupt

    def on_train_epoch_end(self, trainer: L.Trainer, module: Game) -> None:
        """Save the state of a new best score."""
        if self._new_best:
            self.save(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: Game) -> None:
        """Save the final state."""
        if self._new_best or self._saved_at != module.images_seen:
            self.save(trainer, module)
        self._interrupt.remove()

    def on_exception(self, trainer: L.Trainer, module: Game, exception: BaseException) -> None:
        """Save the state, unless it is partly updated or other processes may not take part."""
        self._interrupt.remove()
        together = trainer.world_size == 1 or self._interrupt_due
        if self._half_moved(module) or not together or self._saved_at is None:
            return
        try:
            saved = self._saved_at == module.images_seen or self.save(trainer, module)
        except UserError:  # the NaN guard's error is already being raised
            return
        if saved and trainer.is_global_zero:
            print(f"Saved {self.last_path(trainer)} at {module.images_seen / 1000:g} kimg.")

    def save(self, trainer: L.Trainer, module: Game) -> bool:
        """Save last.ckpt, and if due also best.ckpt and a state to keep; all processes must call this.

        Returns False, with nothing written, if the state is not finite.
        """
        module.flush()
        if not _finite(module):
            return False
        paths = [self.last_path(trainer), *([self.best_path(trainer)] if self._new_best else [])]
        paths += [self.folder(trainer) / f"{module.images_seen:09}.ckpt"] if self._keep else []
        if trainer.is_global_zero:
            write_atomically(paths[0], lambda path: trainer.save_checkpoint(path, weights_only=False))
            for path in paths[1:]:
                write_atomically(path, lambda temporary: _link_or_copy(paths[0], temporary))
        else:
            trainer.save_checkpoint(paths[0], weights_only=False)  # all ranks take part; only rank zero writes
        self._new_best = self._keep = self._clock_due = False
        self._saved_at = module.images_seen
        self._clock.restart()
        return True

    def _half_moved(self, module: Game) -> bool:
        """Return whether an iteration started and did not end, so that the networks are partly updated."""
        return module.iteration == self._started


def _finite(module: Game) -> bool:
    """Return whether the latest scalars and all parameters are finite; one host sync."""
    if not all(map(math.isfinite, module.latest.values())):
        return False
    return bool(torch.nn.utils.get_total_norm(list(module.parameters())).isfinite())


def _link_or_copy(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source`, or a copy if the file system has no links."""
    target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
