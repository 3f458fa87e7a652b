"""Walks over sample indices in blocks that all processes share, so that any number of them sees the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from gan_lightning.metrics.base import SampleMetric
from gan_lightning.metrics.collective import gather_rows, rank, world_size

Rows = dict[str, Tensor]


def shares(count: int, batch_size: int) -> Iterator[tuple[int, range]]:
    """Yield (first index of a block, this process's indices in it); the last blocks may leave a process none."""
    for low in range(0, count, batch_size * world_size()):
        start = min(low + rank() * batch_size, count)
        yield low, range(start, min(start + batch_size, count))


def blocks(count: int, batch_size: int, empty: Rows, produce: Callable[[range], Rows]) -> Iterator[tuple[int, Rows]]:
    """Yield (first index, rows by kind in the order of their indices), the same on every process.

    produce: sample indices -> rows `(n, ...)` of each kind in `empty`, which holds the same with no rows.
    """
    for low, share in shares(count, batch_size):
        rows = produce(share) if share else empty
        size = min(batch_size * world_size(), count - low)
        yield low, {kind: gather_rows(rows[kind], batch_size)[:size] for kind in empty}


def update(metrics: Iterable[SampleMetric], rows: Rows, real: bool) -> None:
    """Give every metric the rows it consumes."""
    for metric in metrics:
        values = [rows[kind] for kind in metric.consumes]
        if values and len(values[0]):
            place = summing_place(values[0].device)
            metric.to(place).update(*(value.to(place) for value in values), real=real)


def summing_place(device: torch.device) -> torch.device:
    """Return where metrics sum whose rows are on `device`: there, but float64 is what Apple's GPUs don't have."""
    return torch.device("cpu") if device.type == "mps" else device
