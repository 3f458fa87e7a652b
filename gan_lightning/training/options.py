"""Training options for any game."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from gan_lightning.errors import UserError, check_range
from gan_lightning.training.player import Schedule

FLAGS = {  # flags of Lightning's Trainer -> the neutral value, and what to use instead
    "max_steps": (-1, "max_kimg or max_epochs, which count images and not optimiser steps"),
    "min_steps": (None, "max_kimg or max_epochs"),
    "gradient_clip_val": (None, "optim.clip_norm"),
    "gradient_clip_algorithm": (None, "optim.clip_norm"),
    "accumulate_grad_batches": (1, "model.accumulate"),
}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Options of training that all games take.

    schedule: factor on all learning rates as a function of the run's progress (0 to 1), None for constant.
    beta2_schedule, ema_schedule: the same on 1 - beta2 of Adam and on ema_kimg.
    ema_kimg: half-life of the moving averages of weights in thousands of images, None for no averages.
    ema_rampup: the half-life is at most this share of the images seen.
    accumulate: number of pieces of a batch (gradient accumulation).
    clip_norm: largest gradient norm of a step, None for no limit.
    channels_last: use this memory format for images and convolutions; it is faster on CPUs and tensor cores.
    seed: of all random numbers of the training.
    log_every: iterations between two reports of the training scalars.
    """

    schedule: Schedule | None = None
    beta2_schedule: Schedule | None = None
    ema_schedule: Schedule | None = None
    ema_kimg: float | None = 10.0
    ema_rampup: float | None = 0.05
    accumulate: int = 1
    clip_norm: float | None = None
    channels_last: bool = True
    seed: int = 0
    log_every: int = 20

    def __post_init__(self) -> None:
        """Raise UserError for options out of range."""
        check_counts(accumulate=self.accumulate, log_every=self.log_every)
        check_range("model", 0, above=True, ema_kimg=self.ema_kimg, ema_rampup=self.ema_rampup)

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of images and convolutions."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


def check_counts(**counts: int) -> None:
    """Raise UserError for the first count below 1."""
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"{name}={value} is out of range: it is a whole number of at least 1.")


def check_trainer_flags(trainer: Any) -> None:
    """Refuse flags of a Trainer, or of its configuration, that do not work with manual optimisation."""
    for flag, (neutral, ours) in FLAGS.items():
        if getattr(trainer, flag) not in (neutral, None):
            raise UserError(
                f"trainer.{flag} has no effect on a GAN, whose players step one at a time: use {ours} instead."
            )
