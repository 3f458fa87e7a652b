"""Computes the rows that metrics take from samples, by sample index, in blocks that processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from rich import get_console
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.inference.producers import Producer, Rows
from gan_lightning.inference.sampling import random_labels
from gan_lightning.metrics.base import PAIRED, Extractor, SampleMetric
from gan_lightning.metrics.collective import gather_rows, rank, world_size
from gan_lightning.pixels import to_uint8

Advance = Callable[[str, int, int], None]  # (what, number done, total)
EXTRACTED = ("features", "logits")
STATE = "state"  # a kind of row that is always computed: the state of each sample
FINE, NOT_FINITE, FEATURES_NOT_FINITE = range(3)


class RowMaker:
    """Computes the rows of `kinds` from images, with at most one forward pass of the extractor.

    data: has the shape of images. extractor: prepared; None if no kind needs it. fields: shapes of a sample's further
    fields.
    """

    def __init__(
        self,
        kinds: Iterable[str],
        data: Any,
        extractor: Extractor | None,
        device: torch.device | str,
        fields: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self.kinds, self.shape, self.fields = tuple(sorted(kinds)), tuple(data.image_shape), fields or {}
        self.extractor = extractor if set(EXTRACTED) & set(self.kinds) else None
        self.device = torch.device(device)

    @property
    def empty(self) -> Rows:
        """Rows for zero images."""
        extractor = self.extractor
        widths = {} if extractor is None else {"features": extractor.feature_dim, "logits": extractor.num_classes}
        made: Rows = {STATE: torch.zeros(0, dtype=torch.uint8, device=self.device)}
        for kind in self.kinds:
            shape = self.fields[kind] if kind in PAIRED else () if kind == "labels" else self.shape
            shape = (widths[kind],) if kind in widths else tuple(shape)
            pixels = kind == "images" or (kind in PAIRED and len(shape) == 3)
            dtype = torch.uint8 if pixels else torch.int64 if kind == "labels" else torch.float32
            made[kind] = torch.zeros(0, *shape, dtype=dtype, device=self.device)
        return made

    def __call__(self, images: Tensor, labels: Tensor | None = None, **fields: Tensor) -> Rows:
        """Return the rows of images, uint8 or float in [-1, 1] `(n, C, H, W)`, or of points `(n, D)`, on the device.

        fields: `targets`, `sources`: further pictures of each sample, in the same two forms. An image that is not
        finite is replaced by a grey one, and its `state` records it.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise UserError(
                f"Samples have the shape {tuple(images.shape[1:])} and the real ones {self.shape}: set data.image_size "
                "and data.channels to those of the generator."
            )
        bad = ~images.flatten(1).isfinite().all(dim=1)
        images = _pixels(images)
        made: Rows = {"images": images, "points": images, STATE: bad.byte().to(self.device)}
        made |= {kind: _pixels(rows) for kind, rows in fields.items() if kind in PAIRED}
        if labels is not None:
            made["labels"] = labels.long()
        if self.extractor is not None:
            made |= self.extractor(images)
            self._check(made, made["features"], made["logits"])
        return {kind: made[kind].to(self.device) for kind in (STATE, *self.kinds)}

    def _check(self, made: Rows, *extracted: Tensor) -> None:
        """Mark samples with finite pixels whose features are not finite."""
        finite = torch.stack([values.flatten(1).isfinite().all(dim=1) for values in extracted]).all(dim=0)
        broken = ~finite.to(self.device) & (made[STATE] == FINE)
        made[STATE] = made[STATE].masked_fill(broken, FEATURES_NOT_FINITE)


def _pixels(rows: Tensor) -> Tensor:
    """Return float pictures as uint8, and anything else unchanged."""
    return to_uint8(rows.nan_to_num(0, 0, 0)) if rows.ndim == 4 and rows.is_floating_point() else rows


def count_states(rows: Rows) -> Tensor:
    """Return the number of samples in each state, `(3,)`."""
    return rows[STATE].long().bincount(minlength=3)


def shares(count: int, batch_size: int) -> Iterator[tuple[int, range]]:
    """Yield (first index of a block, this process's indices in it); in the last blocks a process may have none."""
    for low in range(0, count, batch_size * world_size()):
        start = min(low + rank() * batch_size, count)
        yield low, range(start, min(start + batch_size, count))


def blocks(count: int, batch_size: int, empty: Rows, produce: Callable[[range], Rows]) -> Iterator[tuple[int, Rows]]:
    """Yield (first index, rows by kind in the order of their indices), the same on every process.

    produce: sample indices -> rows `(n, ...)` of each kind in `empty`, which has the same kinds with zero rows.
    """
    for low, share in shares(count, batch_size):
        rows = produce(share) if share else empty
        size = min(batch_size * world_size(), count - low)
        yield low, {kind: gather_rows(rows[kind], batch_size)[:size] for kind in empty}


def update(metrics: Iterable[SampleMetric], rows: Rows, real: bool) -> None:
    """Pass to every metric the rows that it consumes."""
    for metric in metrics:
        values = [rows[kind] for kind in metric.consumes]
        if values and len(values[0]):
            place = summing_place(values[0].device)
            metric.to(place).update(*(value.to(place) for value in values), real=real)


def summing_place(device: torch.device) -> torch.device:
    """Return the device for metrics whose rows are on `device`: the same, except Apple's GPUs (no float64)."""
    return torch.device("cpu") if device.type == "mps" else device


class Watched:
    """Images of a producer; it records whether all are finite, which is lost when they are rounded to uint8."""

    def __init__(self, producer: Producer) -> None:
        self.producer, self.finite = producer, True

    def __call__(self, *which: Any) -> Tensor:
        """Return the images of (start, stop), or of (start, stop, labels)."""
        images = self.producer(*which)["images"]
        self.finite = self.finite and bool(images.isfinite().all())
        return images


def sample_blocks(
    producer: Producer, maker: RowMaker, count: int, batch_size: int, seed: int, classes: int
) -> Iterator[tuple[int, Rows]]:
    """Yield (first index, rows) of the samples [0, count), the same on every process.

    classes: 0 lets `producer` draw classes; else it gets the classes of stream `seed` at these indices.
    """

    def produce(share: range) -> Rows:
        if not classes:
            return maker(**producer(share.start, share.stop))
        labels = random_labels(classes, share.start, share.stop, seed)
        return maker(**producer(share.start, share.stop, labels), labels=labels)

    return blocks(count, batch_size, maker.empty, produce)


def show(found: Iterator[tuple[int, Rows]], metrics: Sequence[SampleMetric], count: int, advance: Advance) -> Tensor:
    """Pass the rows of `count` samples to `metrics` on rank zero; return there the number in each state."""
    states = torch.zeros(3, dtype=torch.int64)
    for low, rows in found:
        if rank() == 0:
            states = states.to(rows[STATE].device) + count_states(rows)
            update(metrics, rows, real=False)
            advance("samples", low + len(rows[STATE]), count)
    return states


@contextmanager
def bar(instead: Advance | None = None) -> Iterator[Advance]:
    """Yield a function (what, number done, total): `instead` if given, else one that draws a bar.

    Without a terminal it prints nothing.
    """
    console = get_console()
    if instead is not None or rank() != 0 or not console.is_interactive:
        yield instead or (lambda what, done, total: None)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        tasks = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what)
            shown.update(tasks[what], completed=done, total=total)

        yield advance
