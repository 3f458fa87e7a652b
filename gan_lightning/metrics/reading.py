"""Reads chosen images of a data set, for metrics that read the data themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from gan_lightning.streams import generator


def batches(data: Any, split: str, indices: Tensor | None = None, batch_size: int = 256) -> Iterator[dict[str, Tensor]]:
    """Yield {"image": `(n, ...)`, and "label": `(n,)` if there are labels} of `split`, all or those at `indices`."""
    source = data.reference(split)
    chosen = source if indices is None else Subset(source, indices.tolist())
    workers = getattr(data, "num_workers", 0)
    # Without its own generator the loader would draw from the global random state.
    return iter(DataLoader(chosen, batch_size, num_workers=workers, generator=generator(0, "workers")))


def some(data: Any, split: str, most: int, *names: object) -> Tensor:
    """Return the indices of at most `most` images of `split` in a random order that depends on `names`."""
    return torch.randperm(len(data.reference(split)), generator=generator(0, *names))[:most]
