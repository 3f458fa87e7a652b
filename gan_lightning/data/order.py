"""The samples of each batch, as a function of (seed, samples consumed, process), so that any run can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gan_lightning.data.place import Place
from gan_lightning.errors import UserError
from gan_lightning.streams import generator as random_stream


class GlobalBatches:
    """This process's rows of every global batch; iterating over it gives a batch sampler for torch's DataLoader.

    A pass is a permutation of the images that depends on (seed, name, number of the pass). An epoch is one pass; its
    last incomplete batch is dropped. Process `rank` takes rows [rank * b, (rank + 1) * b) of each batch, b = batch_size
    / world_size. With `mirror` an image is mirrored with probability 1/2, by keyed random numbers too; index i +
    num_images is the mirrored image i.

    position: returns the iteration to continue from. Each `iter()` calls it and yields the rest of that epoch.
    place: returns the place from which iterations are counted; another than the start after a resume.
    name: of the source; sources with different names have different orders. "" for the first source.
    batches: number of batches of an epoch, if a longer source sets it. Passes then follow each other without a gap,
    across batches and epochs: the position is the number of images consumed.
    """

    def __init__(
        self,
        num_images: int,
        batch_size: int,
        seed: int,
        mirror: bool = False,
        rank: int = 0,
        world_size: int = 1,
        position: Callable[[], int] = lambda: 0,
        name: str = "",
        batches: int | None = None,
        place: Callable[[], Place] = Place,
    ) -> None:
        if batch_size % world_size:
            raise UserError(
                f"data.batch_size={batch_size} is the batch of all processes and cannot be divided among {world_size}; "
                f"take {max(batch_size // world_size, 1) * world_size}."
            )
        if num_images < batch_size and batches is None:
            raise UserError(f"{num_images} images do not fill a batch; set data.batch_size to at most {num_images}.")
        self.num_images, self.batch_size, self.seed, self.mirror = num_images, batch_size, seed, mirror
        self.rank, self.world_size, self.position = rank, world_size, position
        self.name, self.batches, self.place = name, batches, place

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return self.num_images // self.batch_size if self.batches is None else self.batches

    def order(self, number: int) -> Tensor:
        """Return the images `(num_images,)` of pass `number`, over all processes; mirrored ones plus num_images."""
        stream = random_stream(self.seed, "data", *([self.name] if self.name else []), number)
        order = torch.randperm(self.num_images, generator=stream)
        if self.mirror:  # drawn after the order, so that mirroring does not change the order
            order += self.num_images * torch.randint(2, (self.num_images,), generator=stream)
        return order

    def epoch(self, epoch: int) -> Tensor:
        """Return the indices `(len(self), batch_size / world_size)` of this process in `epoch`."""
        size = len(self) * self.batch_size
        rows = self.order(epoch)[:size] if self.batches is None else self._consumed(epoch * size, (epoch + 1) * size)
        return self._mine(rows)

    def rest(self) -> Tensor:
        """Return the rows of the present epoch `(batches, batch_size / world_size)` from the current position on."""
        if self.batches is not None:
            _, offset = self.place().in_epochs(self.position(), self.batches)
            return self.coming(self.batches - offset)
        number, seen = self.place().in_passes(self.position(), self.num_images, self.batch_size)
        order = self.order(number)[seen:]
        return self._mine(order[: len(order) // self.batch_size * self.batch_size])

    def coming(self, count: int) -> Tensor:
        """Return the rows of the next `count` batches, in passes without a gap."""
        place = self.place()
        start = place.consumed + (self.position() - place.iteration) * self.batch_size
        return self._mine(self._consumed(start, start + count * self.batch_size))

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rest().tolist())

    def _mine(self, rows: Tensor) -> Tensor:
        return rows.view(-1, self.world_size, self.batch_size // self.world_size)[:, self.rank]

    def _consumed(self, start: int, stop: int) -> Tensor:
        """Return the indices of consumed images number [start, stop), for passes without a gap."""
        passes = range(start // self.num_images, -(-stop // self.num_images))
        first = passes.start * self.num_images
        return torch.cat([self.order(number) for number in passes])[start - first : stop - first]


class JointBatches:
    """The orders of several sources: rows of a batch are `(N, sources)`.

    orders: with equal batch sizes and equal numbers of batches per epoch.
    """

    def __init__(self, orders: Sequence[GlobalBatches]) -> None:
        self.orders, self.mirror = list(orders), orders[0].mirror

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return len(self.orders[0])

    def rest(self) -> Tensor:
        """Return the rows `(batches, N, sources)` from the current position on."""
        count = len(next(order for order in self.orders if order.batches is None).rest())
        rows = [order.rest() if order.batches is None else order.coming(count) for order in self.orders]
        return torch.stack(rows, dim=2)

    def __iter__(self) -> Iterator[list[list[int]]]:
        return iter(self.rest().tolist())


def joint(
    counts: dict[str, int], batch_size: int, seed: int, mirror: bool = False, **process: Any
) -> GlobalBatches | JointBatches:
    """Return the orders of sources with `counts` samples, by name: the longest sets the epoch, shorter ones repeat.

    process: rank, world_size, position and place, see GlobalBatches.
    """
    longest = max(counts.values())
    epoch = len(GlobalBatches(longest, batch_size, seed, **process))
    orders = [
        GlobalBatches(count, batch_size, seed, mirror, name=name, batches=epoch if count < longest else None, **process)
        for name, count in counts.items()
    ]
    return JointBatches(orders) if len(orders) > 1 else orders[0]
