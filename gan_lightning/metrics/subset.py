"""A random part of a stream of rows, of bounded size and the same in any batches."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_lightning.inference.sampling import CHUNK, rows
from gan_lightning.streams import generator


class RandomSubset:
    """Keeps at most `most` rows of those that arrive, each with the same chance, however many will come.

    Every row draws a number by its place in the stream, and those with the smallest stay: which ones hangs neither on
    the size of batches nor on what the rows hold. They are kept on the CPU, as they are.

    most: rows. names: of the stream of random numbers.
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
