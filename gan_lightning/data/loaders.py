"""Two loaders with the same batches in the same order: one indexes tensors, one decodes files in worker processes."""

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
    """Batches by indexing tensors in memory, on `device`, without worker processes."""

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
        rows = self.batches.rest().to(self.device)  # one transfer per epoch
        return map(partial(self.source.gather, mirrored=self.batches.mirror), rows)


class FileLoader:
    """Batches read by `num_workers` processes.

    It is not a DataLoader, because Lightning would replace the sampler of one.
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
        """Lightning ends a DataLoader's workers through this attribute; the garbage collector would need 10 s."""
        return self.loader._iterator

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        self.loader._iterator = iterator


class _WholeBatches(Dataset):
    """A data set that returns a whole batch for a list of rows, or the UserError raised by reading it.

    An exception that is raised in a worker would contain the worker's traceback in its text.
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
