"""A random subset of a stream of rows; its size is bounded, and it does not depend on the batch size."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_lightning.inference.sampling import CHUNK, rows
from gan_lightning.streams import generator


class RandomSubset:
    """Keeps at most `most` rows of a stream of unknown length, each with equal probability.

    Each row gets a random number from its position in the stream, and the rows with the smallest numbers are kept. So
    the choice depends neither on the batch size nor on the rows' values. Rows are kept on the CPU, unchanged.

    most: largest number of rows. names: key of the random numbers.
    """

    def __init__(self, most: int, *names: object) -> None:
        self.most, self.names = most, names
        self.seen = 0
        self._lots = torch.full((most,), torch.inf, dtype=torch.float64)
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        return min(self.seen, self.most)

    def add(self, *columns: Tensor) -> None:
        """Take the next rows of the stream, `(n, ...)` in each column."""
        count = len(columns[0])
        lots = rows(self.seen, self.seen + count, self._draw)
        self.seen += count
        if not self._kept:
            self._kept = [torch.empty(self.most, *column.shape[1:], dtype=column.dtype) for column in columns]
        stays = torch.zeros(self.most + count, dtype=torch.bool)
        stays[torch.cat([self._lots, lots]).argsort(stable=True)[: self.most]] = True
        slots, chosen = (~stays[: self.most]).nonzero()[:, 0], stays[self.most :].nonzero()[:, 0]
        self._lots[slots] = lots[chosen]
        for kept, column in zip(self._kept, columns, strict=True):
            kept[slots] = column[chosen.to(column.device)].cpu()

    def rows(self) -> tuple[Tensor, ...]:
        """Return the kept rows `(n, ...)` of each column, in a random order."""
        order = self._lots.argsort(stable=True)[: len(self)]
        return tuple(kept[order] for kept in self._kept)

    def _draw(self, block: int) -> Tensor:
        return torch.rand(CHUNK, generator=generator(0, *self.names, block), dtype=torch.float64)
