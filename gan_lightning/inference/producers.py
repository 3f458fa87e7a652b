"""Producers make rows of samples; the same one is used for evaluation, for sample grids, and after training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.inference.sampling import generate, sweep
from gan_lightning.networks.base import Generator

Rows = dict[str, Tensor]
Draw = Callable[..., Tensor]  # (start, stop, seed, batch_size, labels, codes) -> images
MAX_CLASS_ROWS = 16  # rows of a picture; with more classes, some are selected
SIDE_BY_SIDE = ("sources", "images", "targets")


class Producer(ABC):
    """Makes rows by index: row i is the same in any batch and on any process.

    Fields of a row: "images", the result, float in [-1, 1] `(n, C, H, W)` or points `(n, D)`; if they exist, "sources",
    the input, and "targets", the desired result. Pictures are float in [-1, 1] or uint8.

    fields: the shape of one row of each field. count: number of rows; None: any number.
    num_classes: number of classes that can be requested, 0 for none. network: the network that makes the images, or
        None.
    averaged: whether the network's weights are a moving average.
    """

    count: int | None = None
    num_classes: int = 0
    network: nn.Module | None = None
    averaged: bool = False

    @property
    @abstractmethod
    def fields(self) -> Mapping[str, tuple[int, ...]]:
        """Return the shape of one row of each field."""

    @abstractmethod
    def __call__(self, start: int, stop: int, labels: Tensor | None = None) -> Rows:
        """Return the rows [start, stop) by field; labels `(stop - start,)` are requested classes, None draws them."""

    def baseline(self) -> Producer | None:
        """Return a trivial baseline for the same rows (bicubic, a copy, the mean fill), None if there is none."""
        return None


class Samples(Producer):
    """Images of a generator, raw, averaged or loaded: sample i of stream `seed`.

    batch_size: samples per forward pass. draw: another function for sampling than one forward pass, such as
        `Sampler.generate`.
    """

    def __init__(
        self,
        network: Generator,
        seed: int = 0,
        batch_size: int = 256,
        draw: Draw | None = None,
        averaged: bool = False,
    ) -> None:
        self.network: Generator = network
        self.seed, self.batch_size, self.averaged = seed, batch_size, averaged
        self._draw = draw or partial(generate, network)

    @property
    def fields(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of an image."""
        return {"images": tuple(self.network.image_shape)}

    @property
    def num_classes(self) -> int:  # type: ignore[override]
        """Number of classes of the generator."""
        return getattr(self.network, "num_classes", 0)

    def __call__(self, start: int, stop: int, labels: Tensor | None = None, codes: Tensor | None = None) -> Rows:
        """Return the samples [start, stop); codes `(stop - start, codes)` for InfoGAN, NaN for codes that are drawn."""
        return {"images": self._draw(start, stop, self.seed, self.batch_size, labels, codes)}


class Made(Producer):
    """Images from any function: (start, stop), or with classes (start, stop, labels), -> images or points."""

    def __init__(self, function: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
        self.function, self._shape = function, tuple(shape)

    @property
    def fields(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of an image."""
        return {"images": self._shape}

    def __call__(self, start: int, stop: int, labels: Tensor | None = None) -> Rows:
        """Return the images [start, stop)."""
        return {"images": self.function(start, stop) if labels is None else self.function(start, stop, labels)}


def chosen(producers: Mapping[str, Producer], name: str | None = None) -> Producer:
    """Return the producer called `name`, None for the first; raise a UserError if it does not exist."""
    found = producers.get(next(iter(producers), "") if name is None else name)
    if found is None:
        if not producers:
            raise UserError("The game makes no samples, it has no producers: leave metrics out (metrics=[]).")
        raise UserError(f"There is no producer called {name}: choose one of {', '.join(producers)}.")
    return found


# Pictures -------------------------------------------------------------------------------------------------------------


class Picture(NamedTuple):
    """The content of a picture: images `(n, C, H, W)` in [-1, 1] in `columns` columns, or points `(n, 2)`."""

    images: Tensor
    columns: int


def picture(producer: Producer, rows: int, columns: int, points: int) -> Picture:
    """Return the first samples of `producer` as a grid, one row for each class, or `points` 2-D points.

    Sources and targets, if there are any, are shown beside the images.
    """
    if tuple(producer.fields["images"]) == (2,):
        return Picture(producer(0, points)["images"].cpu(), 1)
    parts = sum(name in producer.fields for name in SIDE_BY_SIDE)
    groups = max(1, columns // parts)
    labels = _class_rows(producer.num_classes, rows, groups)
    count = rows * groups if labels is None else len(labels)
    count = count if producer.count is None else min(count, producer.count)
    return Picture(_side_by_side(producer(0, count, labels)), groups * parts)


def picture_of_codes(network: Any, columns: int, seed: int) -> dict[str, Picture]:
    """Return {"codes": for each InfoGAN code a row in which it takes all of its values}; {} without codes."""
    codes = getattr(network, "codes", None)
    if codes is None or len(network.image_shape) != 3:
        return {}
    columns = max([columns, *codes.categories])
    return {"codes": Picture(sweep(network, columns, seed), columns)}


def _class_rows(num_classes: int, rows: int, columns: int) -> Tensor | None:
    """Return the class of each cell: one row per class, evenly selected if there are too many; None if unlabelled."""
    if not num_classes:
        return None
    rows = num_classes if num_classes <= MAX_CLASS_ROWS else rows
    return torch.linspace(0, num_classes - 1, rows).round().long().repeat_interleave(columns)


def _side_by_side(rows: Rows) -> Tensor:
    """Return source, image and target of each sample in sequence, all with the size and channels of the images."""
    if rows.keys() == {"images"}:
        return rows["images"]
    shown = [_alike(rows[name], rows["images"].shape) for name in SIDE_BY_SIDE if name in rows]
    return torch.stack(shown, 1).flatten(0, 1)


def _alike(pictures: Tensor, shape: torch.Size) -> Tensor:
    """Return pictures as float in [-1, 1], resized by nearest, and with as many channels as images of `shape`."""
    pictures = pictures.float() / 127.5 - 1 if pictures.dtype == torch.uint8 else pictures.float()
    pictures = functional.interpolate(pictures.cpu(), shape[-2:], mode="nearest")
    return pictures if pictures.shape[1] == shape[1] else pictures.mean(1, keepdim=True).expand(-1, shape[1], -1, -1)
