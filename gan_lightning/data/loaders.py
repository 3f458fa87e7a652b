"""Two ways to batches: index tensors, or let torch's worker processes decode files. Same batches, same order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from gan_lightning.data.fields import Batch
from gan_lightning.data.order import GlobalBatches, JointBatches
from gan_lightning.data.sources import SideBySide, Source
from gan_lightning.errors import UserError


class TensorLoader:
    """Batches by indexing what is in memory, on `device`: no worker processes, no copies to wait for."""

    def __init__(
        self,
        source: Source | SideBySide,
        batches: GlobalBatches | JointBatches,
        device: torch.device | str = "cpu",
    ) -> None:
        self.source, self.batches, self.device = source.to(device), batches, device

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.batches.rest().to(self.device)  # one transfer an epoch
        return map(partial(self.source.gather, mirrored=self.batches.mirror), rows)


class FileLoader:
    """Batches read by `num_workers` processes.

    Not itself a DataLoader: Lightning would put a sampler of its own into one.
    """

    def __init__(
        self,
        source: Source | SideBySide,
        batches: GlobalBatches | JointBatches,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.loader = DataLoader(
            _WholeBatches(source, batches.mirror),
            batch_sampler=batches,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory,
            collate_fn=_as_it_is,
        )

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return map(_raise_here, iter(self.loader))

    @property
    def _iterator(self) -> Any:
        """The name under which Lightning ends a DataLoader's workers; left to the garbage collector it takes 10 s."""
        return self.loader._iterator

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        self.loader._iterator = iterator


class _WholeBatches(Dataset):
    """Answers a list of rows with a batch, or with the UserError that reading one met.

    An exception raised in a worker would arrive with the worker's traceback as its text.
    """

    def __init__(self, source: Source | SideBySide, mirrored: bool) -> None:
        self.source, self.mirrored = source, mirrored

    def __getitems__(self, rows: list[Any]) -> Batch | UserError:
        try:
            return self.source.gather(torch.tensor(rows), self.mirrored)
        except UserError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def _raise_here(batch: Batch | UserError) -> Batch:
    if isinstance(batch, UserError):
        raise batch
    return batch
