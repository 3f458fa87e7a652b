"""Loggers of scalars and pictures: metrics.csv (the reference), TensorBoard, Weights & Biases.

The x-axis is always images seen by the discriminator. Large packages are imported when a logger first writes.
"""

from __future__ import annotations

from gan_lightning.loggers.base import log_image
from gan_lightning.loggers.csv import CSVLogger
from gan_lightning.loggers.tensorboard import TensorBoardLogger
from gan_lightning.loggers.wandb import WandbLogger

__all__ = ["CSVLogger", "TensorBoardLogger", "WandbLogger", "log_image"]
