"""Two ways to batches: index a tensor, or let torch's worker processes decode files. Same batches, same order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gan_lightning.data.order import GlobalBatches
from gan_lightning.data.sources import Source, TensorImages
from gan_lightning.errors import UserError

Batch = dict[str, Tensor]


class TensorLoader:
    """Batches by indexing images in memory, on `device`: no worker processes, no copies to wait for."""

    def __init__(self, source: TensorImages, batches: GlobalBatches, device: torch.device | str = "cpu") -> None:
        self.images = source.images.to(device)
        self.labels = None if source.labels is None else source.labels.to(device)
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        rows = self.batches.rest().to(self.images.device)  # one transfer an epoch
        return map(self._batch, rows)

    def _batch(self, rows: Tensor) -> Batch:
        chosen = rows % len(self.images)
        images = self.images[chosen]
        if self.batches.mirror:
            mirrored = (rows >= len(self.images)).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(-1), images)
        return {"image": images} if self.labels is None else {"image": images, "label": self.labels[chosen]}


class FileLoader:
    """Batches decoded by `num_workers` processes.

    Not itself a DataLoader: Lightning would put a sampler of its own into one.
    """

    def __init__(self, source: Source, batches: GlobalBatches, num_workers: int = 0, pin_memory: bool = False) -> None:
        self.loader = DataLoader(
            _WholeBatches(source),
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

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitems__(self, rows: list[int]) -> Batch | UserError:
        try:
            images = torch.stack([self._image(row) for row in rows])
        except UserError as error:
            return error
        if self.source.labels is None:
            return {"image": images}
        return {"image": images, "label": self.source.labels[torch.tensor(rows) % len(self)]}

    def _image(self, row: int) -> Tensor:
        mirrored, index = divmod(row, len(self))
        image = self.source.image(index)
        return image.flip(-1) if mirrored else image


def _as_it_is(batch: Any) -> Any:
    return batch


def _raise_here(batch: Batch | UserError) -> Batch:
    if isinstance(batch, UserError):
        raise batch
    return batch
