"""Sample grids: what a game makes from fixed latents, or fixed source images, during training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import torch
from PIL import Image
from torch import Tensor

from gan_lightning.callbacks.base import Callback
from gan_lightning.callbacks.every import EveryKimg
from gan_lightning.errors import UserError, check_range
from gan_lightning.inference.producers import Picture
from gan_lightning.loggers.base import log_image
from gan_lightning.paths import write_atomically
from gan_lightning.pixels import enlarge, grid, scatter, time_lapse, to_uint8

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game

AT_LEAST = 512  # pixels: small images are enlarged so that the grid is at least this wide


class SampleGrid(Callback):
    """Write `samples/<images seen>.png`, the latest also as `samples.png`, and at the end a time-lapse `samples.gif`.

    rows, columns: of the grid; a conditional generator gets one row for each class. 2-D points (mixtures) are drawn as
        a scatter plot of `points` samples over the real modes.
    every_epochs, every_kimg: epochs, or thousand images, between two frames; None: not used.
    seed: of the latents, which stay the same for the whole run.
    gif_frames, gif_side: largest number of frames, and longest side in pixels, of the time-lapse; 0 frames: none.

    Further pictures of the game are written in the same way under their own names. A generator with codes (InfoGAN) has
    `codes.png`: in each row one code takes all of its values. Samples come from the averaged generator if there is one.
    On resume, frames after the checkpoint are deleted.
    """

    def __init__(
        self,
        rows: int = 8,
        columns: int = 8,
        every_epochs: int | None = 1,
        every_kimg: float | None = None,
        seed: int = 0,
        points: int = 2000,
        gif_frames: int = 100,
        gif_side: int = 512,
    ) -> None:
        if min(rows, columns, points) < 1:
            raise UserError(
                f"callbacks.sample_grid can't draw rows={rows}, columns={columns}, points={points}; give 1 or more."
            )
        check_range("callbacks.sample_grid", 0, above=True, every_kimg=every_kimg)
        check_range("callbacks.sample_grid", 1, every_epochs=every_epochs, gif_side=gif_side)
        check_range("callbacks.sample_grid", 0, gif_frames=gif_frames)
        self.rows, self.columns, self.points = rows, columns, points
        self.every_epochs, self.seed = every_epochs, seed
        self.gif_frames, self.gif_side = gif_frames, gif_side
        self._kimg = EveryKimg(every_kimg)
        self._drawn_at: int | None = None

    def on_train_start(self, trainer: L.Trainer, module: Game) -> None:
        """Delete frames that a resumed run will draw again; draw samples of the untrained generator."""
        self._kimg.start(module.images_seen)
        if trainer.is_global_zero:
            for frame in [frame for name in _names(trainer) for frame in _frames(trainer, name)]:
                if int(frame.stem) > module.images_seen:
                    frame.unlink()
        if not module.images_seen:
            self._draw(trainer, module)

    def on_train_batch_end(self, trainer: L.Trainer, module: Game, *_: object) -> None:
        """Draw every `every_kimg`."""
        if self._kimg.due(module.images_seen):
            self._draw(trainer, module)

    def on_train_epoch_end(self, trainer: L.Trainer, module: Game) -> None:
        """Draw every `every_epochs`."""
        if self.every_epochs and (trainer.current_epoch + 1) % self.every_epochs == 0:
            self._draw(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: Game) -> None:
        """Draw the final samples and make the time-lapses."""
        self._draw(trainer, module)
        for name in _names(trainer) if trainer.is_global_zero and self.gif_frames > 1 else ():
            frames = _frames(trainer, name)
            if len(frames) > 1:
                made = partial(time_lapse, frames, max_frames=self.gif_frames, max_side=self.gif_side)
                write_atomically(Path(trainer.default_root_dir) / f"{name}.gif", made)

    def _draw(self, trainer: L.Trainer, module: Game) -> None:
        """Write and log one frame, at most once for each number of images seen."""
        if not trainer.is_global_zero or self._drawn_at == module.images_seen:
            return
        self._drawn_at = module.images_seen
        folder = Path(trainer.default_root_dir)
        for name, picture in self.pictures(trainer, module).items():
            for path in (folder / name / f"{module.images_seen:09d}.png", folder / f"{name}.png"):
                write_atomically(path, picture.save)
            log_image(trainer.loggers, name, picture, module.images_seen)

    def pictures(self, trainer: L.Trainer, module: Game) -> dict[str, Image.Image]:
        """Return the game's pictures of the fixed latents at this point of training, if any; the first is "samples"."""
        shown = module.pictures(self.rows, self.columns, self.points, self.seed)
        names = ["samples", *list(shown)[1:]][: len(shown)]
        return {name: _drawn(trainer, picture) for name, picture in zip(names, shown.values(), strict=True)}

    def picture(self, trainer: L.Trainer, module: Game) -> Image.Image:
        """Return the grid, or for 2-D points the scatter plot, of the fixed latents at this point of training."""
        return self.pictures(trainer, module)["samples"]


def _drawn(trainer: L.Trainer, picture: Picture) -> Image.Image:
    if picture.images.ndim == 2:
        return scatter(picture.images, *_modes(trainer))
    return enlarge(grid(to_uint8(picture.images), picture.columns), AT_LEAST)


def _names(trainer: L.Trainer) -> list[str]:
    """Return the names of the pictures that have been drawn so far."""
    folder = Path(trainer.default_root_dir)
    return sorted(path.stem for path in folder.glob("*.png") if (folder / path.stem).is_dir())


def _frames(trainer: L.Trainer, name: str) -> list[Path]:
    paths = (Path(trainer.default_root_dir) / name).glob("*.png")
    return sorted(path for path in paths if path.stem.isdigit())


def _modes(trainer: L.Trainer) -> tuple[Tensor | None, float]:
    """Return the real mixture's centres and standard deviation, if the data set has them."""
    data: Any = getattr(trainer, "datamodule", None)
    if not hasattr(data, "modes"):
        return None, 0.0
    return torch.as_tensor(data.modes()).cpu(), float(data.std)
