"""Which images make up which batch: a function of (seed, epoch, process) alone, so any position can be taken up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.streams import generator as random_stream


class GlobalBatches:
    """The rows of this process of every global batch; as an iterable, a batch sampler for torch's DataLoader.

    An epoch is a permutation of the images keyed (seed, epoch); its last incomplete batch is dropped. Process `rank`
    takes rows [rank * b, (rank + 1) * b) of each batch, b = batch_size / world_size. With `mirror` an image is
    mirrored with probability 1/2, also keyed (seed, epoch): index i + num_images stands for the mirrored image i.

    position: returns the iteration to continue from; asked at each `iter()`, which yields the rest of that epoch.
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
    ) -> None:
        if batch_size % world_size:
            raise UserError(
                f"data.batch_size={batch_size} is the batch of all processes and cannot be divided among {world_size}; "
                f"take {max(batch_size // world_size, 1) * world_size}."
            )
        if num_images < batch_size:
            raise UserError(f"{num_images} images do not fill a batch; set data.batch_size to at most {num_images}.")
        self.num_images, self.batch_size, self.seed, self.mirror = num_images, batch_size, seed, mirror
        self.rank, self.world_size, self.position = rank, world_size, position

    def __len__(self) -> int:
        """Return the batches of a whole epoch."""
        return self.num_images // self.batch_size

    def epoch(self, epoch: int) -> Tensor:
        """Return the indices `(len(self), batch_size / world_size)` of this process in `epoch`."""
        stream = random_stream(self.seed, "data", epoch)
        order = torch.randperm(self.num_images, generator=stream)
        if self.mirror:  # drawn after the order, which therefore is the same with and without mirroring
            order += self.num_images * torch.randint(2, (self.num_images,), generator=stream)
        batches = order[: len(self) * self.batch_size].view(len(self), self.world_size, -1)
        return batches[:, self.rank]

    def rest(self) -> Tensor:
        """Return the rows of `epoch(...)` from the current position on."""
        epoch, offset = divmod(self.position(), len(self))
        return self.epoch(epoch)[offset:]

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.rest().tolist())
