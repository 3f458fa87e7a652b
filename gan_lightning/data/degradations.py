"""Tasks for image-to-image networks: each computes a source image, from which the image should be recovered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan_lightning.data.fields import Batch
from gan_lightning.data.image_data import LUMA
from gan_lightning.errors import UserError
from gan_lightning.streams import Draw
from gan_lightning.streams import generator as random_stream

BLOCK = 16  # rows of random numbers per stream, so that a process draws few numbers that it does not need


class Degradation(nn.Module):
    """Base class of tasks: `forward(images, draw)`, on the device and without gradients.

    images: float32 `(N, C, H, W)` in [-1, 1]. It returns a dict with `source`, images in [-1, 1], and, if the task
    makes holes, `mask`, float32 `(N, 1, H, W)`, 1 in a hole. All random numbers come from `draw`. So two processes give
    the result of one, a resumed run that of an uninterrupted one, and a test image is always degraded in the same way.

    makes: names of the returned fields.
    """

    makes: ClassVar[tuple[str, ...]] = ("source",)

    def forward(self, images: Tensor, draw: Draw) -> Batch:
        """Return the source, from which `images` should be recovered, and a mask if there is one."""
        raise NotImplementedError

    def source_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape `(C, H, W)` of sources for images of `image_shape`; by default the same."""
        return image_shape

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raise UserError if images of `image_shape` cannot be degraded."""
        if len(image_shape) != 3:
            raise UserError(
                f"task={task_name(self)} works on images, and these are points in the plane: use task=none."
            )


class Grey(Degradation):
    """Colourisation: the source is the grey version of the image, by the luma of ITU-R 601.

    Grey is repeated in all channels, so the source has the shape of the image, as in inpainting and deblurring. One
    network then fits all of these tasks, it may add its input to its output, and its input is a baseline for pixel-wise
    comparison.
    """

    def forward(self, images: Tensor, draw: Draw) -> Batch:
        """Return `source` `(N, 3, H, W)`, three equal channels; it uses no random numbers."""
        red, green, blue = images.split(1, dim=1)
        return {"source": torch.empty_like(images).copy_(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)}

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raise UserError unless images are colour images."""
        super().check(image_shape)
        if image_shape[0] != 3:
            raise UserError("task=grey takes the colours away, and these images are grey: set data.channels=3, or use "
                            "task=none.")  # fmt: skip


@dataclass(frozen=True)
class KeyedRows:
    """Random numbers of the rows [start, stop) of an endless table; they depend only on the seed and the row.

    names: key of the table. device: where the numbers are needed, and drawn unless portable.
    portable: draw on the CPU, so that numbers are the same for every kind of device.
    """

    seed: int
    names: tuple[object, ...]
    start: int
    stop: int
    device: torch.device | str = "cpu"
    portable: bool = False

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Return U[0, 1) numbers `(stop - start, *shape)`."""
        return self._rows(torch.rand, purpose, shape)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Return N(0, 1) numbers `(stop - start, *shape)`."""
        return self._rows(torch.randn, purpose, shape)

    def _rows(self, make: Callable[..., Tensor], purpose: str, shape: tuple[int, ...]) -> Tensor:
        device = "cpu" if self.portable else self.device
        blocks = range(self.start // BLOCK, -(-self.stop // BLOCK))
        streams = (random_stream(self.seed, *self.names, purpose, block, device=device) for block in blocks)
        table = torch.cat([make(BLOCK, *shape, generator=stream, device=device) for stream in streams])
        first = self.start - blocks.start * BLOCK
        return table[first : first + self.stop - self.start].to(self.device)


def training_rows(seed: int, iteration: int, start: int, count: int, device: torch.device | str) -> KeyedRows:
    """Return the numbers for `count` rows of the global batch of `iteration`, beginning at row `start`."""
    return KeyedRows(seed, ("task", iteration), start, start + count, device)


def sample_rows(seed: int, start: int, count: int, device: torch.device | str) -> KeyedRows:
    """Return the numbers for `count` samples from index `start` on, in an evaluation with batches of any size."""
    return KeyedRows(seed, ("task of samples",), start, start + count, device, portable=True)


@torch.no_grad()
def degrade(batch: Batch, task: Degradation, draw: Draw) -> Batch:
    """Return a prepared batch with the fields that `task` makes from its images."""
    return {**batch, **task(batch["image"], draw)}


def task_name(task: Degradation) -> str:
    """Return the task's name on the command line."""
    return type(task).__name__.lower()


def check_source(game: Any, data: Any, task: Degradation | None) -> None:
    """Raise UserError if `game` gets a source that it does not use, or needs one and gets none.

    game: its `takes_source` says whether it makes images from a source; False if missing.
    data: a data module; its `fields` are those of its batches.
    """
    wanted, fields, model = getattr(game, "takes_source", False), getattr(data, "fields", {}), type(game).__name__
    if task is None:
        if wanted and "source" not in fields:
            raise UserError(f"{model} makes images out of source images, and data={data.name} has none: choose a task, "
                            "such as task=grey, or a data set of pairs.")  # fmt: skip
        return
    name = task_name(task)
    if not wanted:
        raise UserError(f"task={name} makes a source out of each image, and {model} makes images out of noise without "
                        "looking at it: use task=none, or a model that turns images into images.")  # fmt: skip
    if twice := [made for made in task.makes if made in fields]:
        raise UserError(f"task={name} makes a {twice[0]}, and data={data.name} has one already: use task=none, or "
                        "other data.")  # fmt: skip
    task.check(tuple(data.image_shape))
