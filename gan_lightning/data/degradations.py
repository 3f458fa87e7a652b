"""Tasks for networks that turn images into images: each makes the source out of the image that is to be got back."""

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

BLOCK = 16  # rows of random numbers drawn from one stream: so no process draws many that are another's


class Degradation(nn.Module):
    """Base of the tasks: `forward(images, draw)`, on the device and without gradients.

    images: float32 `(N, C, H, W)` in [-1, 1]. Returned is a dict of `source`, images in [-1, 1] as well, and of `mask`,
    float32 `(N, 1, H, W)` with 1 where the source has a hole, if the task cuts any. All that is random comes from
    `draw`, so that two processes equal one, a resumed run the uninterrupted one, and a test image is always degraded in
    the same way.

    makes: the names of what is returned.
    """

    makes: ClassVar[tuple[str, ...]] = ("source",)

    def forward(self, images: Tensor, draw: Draw) -> Batch:
        """Return what is to become `images` again."""
        raise NotImplementedError

    def source_shape(self, image_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape `(C, H, W)` of the sources of images of `image_shape`: the same."""
        return image_shape

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raise UserError where images of `image_shape` cannot be degraded."""
        if len(image_shape) != 3:
            raise UserError(
                f"task={task_name(self)} works on images, and these are points in the plane: use task=none."
            )


class Grey(Degradation):
    """Colourisation: the source is the grey version of the image, by the luma of ITU-R 601.

    The grey is repeated in all channels. So the source of this task has the shape of the image, as that of an
    inpainting or of a blur has: one network fits them all, may add its input to its output, and is compared with its
    input, pixel by pixel, as the trivial rival.
    """

    def forward(self, images: Tensor, draw: Draw) -> Batch:
        """Return `source` `(N, 3, H, W)`, three equal channels; nothing is drawn."""
        red, green, blue = images.split(1, dim=1)
        return {"source": torch.empty_like(images).copy_(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)}

    def check(self, image_shape: tuple[int, ...]) -> None:
        """Raise UserError for anything but colour images."""
        super().check(image_shape)
        if image_shape[0] != 3:
            raise UserError("task=grey takes the colours away, and these images are grey: set data.channels=3, or use "
                            "task=none.")  # fmt: skip


@dataclass(frozen=True)
class KeyedRows:
    """Random numbers of the rows [start, stop) of an endless table, a function of the seed and the row alone.

    names: of the table. device: where the numbers are wanted, and drawn, unless
    portable: drawn on the CPU, so that they are the same on every kind of device.
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
    """Return the numbers of `count` rows from `start` on of the global batch of `iteration`."""
    return KeyedRows(seed, ("task", iteration), start, start + count, device)


def sample_rows(seed: int, start: int, count: int, device: torch.device | str) -> KeyedRows:
    """Return the numbers of `count` samples from number `start` on: in an evaluation, whatever its batches."""
    return KeyedRows(seed, ("task of samples",), start, start + count, device, portable=True)


@torch.no_grad()
def degrade(batch: Batch, task: Degradation, draw: Draw) -> Batch:
    """Return a prepared batch with what `task` makes of its images."""
    return {**batch, **task(batch["image"], draw)}


def task_name(task: Degradation) -> str:
    """Return the name by which the command line knows a task of ours."""
    return type(task).__name__.lower()


def check_source(game: Any, data: Any, task: Degradation | None) -> None:
    """Raise UserError where `game` has no use for a source that it gets, or none where it needs one.

    game: says by `takes_source` whether it makes images out of a source; one that says nothing does not.
    data: a data module; what it says in `fields` is known to be in its batches.
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
