"""Where numbers and pictures go: metrics.csv (the source of truth), TensorBoard, Weights & Biases.

Every axis is images seen by the discriminator. Nothing heavy is imported before a logger writes for the first time.
"""

from __future__ import annotations

from gan_lightning.loggers.base import log_image
from gan_lightning.loggers.csv import CSVLogger
from gan_lightning.loggers.tensorboard import TensorBoardLogger
from gan_lightning.loggers.wandb import WandbLogger

__all__ = ["CSVLogger", "TensorBoardLogger", "WandbLogger", "log_image"]
