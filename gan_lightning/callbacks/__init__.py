"""Callbacks: sample grids, curves, checkpoints, stopping, and the terminal's output."""

from __future__ import annotations

from gan_lightning.callbacks.base import Callback
from gan_lightning.callbacks.checkpoint import Checkpoint
from gan_lightning.callbacks.curves import Curves
from gan_lightning.callbacks.limit import Limit
from gan_lightning.callbacks.nan_guard import NanGuard
from gan_lightning.callbacks.progress import Progress
from gan_lightning.callbacks.sample_grid import SampleGrid
from gan_lightning.callbacks.target import Target
from gan_lightning.callbacks.throughput import Throughput
from gan_lightning.hooks import call

__all__ = [
    "Callback",
    "Checkpoint",
    "Curves",
    "Limit",
    "NanGuard",
    "Progress",
    "SampleGrid",
    "Target",
    "Throughput",
    "call",
]
