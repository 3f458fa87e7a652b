"""TensorBoard: Lightning's logger with images seen as the step; a resumed run continues the history."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.loggers import TensorBoardLogger as LightningTensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from PIL import Image

from gan_lightning.loggers.base import StartsWithModule

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class TensorBoardLogger(StartsWithModule, LightningTensorBoardLogger):
    """Write scalars and sample grids to `save_dir/name`; view them with `tensorboard --logdir save_dir`."""

    def __init__(self, save_dir: str | os.PathLike[str], name: str = "tensorboard") -> None:
        LightningTensorBoardLogger.__init__(self, Path(save_dir), name=name, version="", default_hp_metric=False)

    @rank_zero_only
    def start(self, module: Game) -> None:
        """Let TensorBoard hide what was written after the module's `images_seen` before a resume."""
        if module.images_seen and self._experiment is None:
            self._kwargs["purge_step"] = module.images_seen + 1

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write scalars at `step`, the number of images seen; that number itself is not written as a curve."""
        LightningTensorBoardLogger.log_metrics(
            self, {name: value for name, value in metrics.items() if name != "images_seen"}, step
        )

    @rank_zero_only
    def log_image(self, key: str, images: list[Image.Image], step: int | None = None) -> None:
        """Write PIL images under `key` at `step`."""
        import numpy

        for index, image in enumerate(images):
            name = key if len(images) == 1 else f"{key}/{index}"
            self.experiment.add_image(name, numpy.asarray(image.convert("RGB")), step, dataformats="HWC")

    @rank_zero_only
    def save(self) -> None:
        """Flush; config.yaml holds the hyper-parameters, so there is no hparams.yaml beside the events."""
        if self._experiment is not None:
            self._experiment.flush()
