"""What is measured of the real data, once: statistics that metrics compare with, and the floor of their scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gan_lightning.metrics import cache
from gan_lightning.metrics.base import MetricFactory, metric_class
from gan_lightning.networks.registry import full_name
from gan_lightning.training.random import generator

FORMAT = 1  # part of the cache's key, to be raised when the meaning of what is stored changes
FLOOR = "floor/"


@dataclass
class Statistics:
    """One metric's `real_*` states, and its scores with held-out real images in the place of samples."""

    state: dict[str, Tensor] = field(default_factory=dict)
    floor: dict[str, float] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write atomically."""
        floor = {FLOOR + name: torch.tensor(value, dtype=torch.float64) for name, value in self.floor.items()}
        cache.write(path, self.state | floor)


def load(path: Path) -> Statistics | None:
    """Return what `save` wrote; None if there is no such file, or a damaged one."""
    tensors = cache.read(path)
    if tensors is None:
        return None
    floor = {name.removeprefix(FLOOR): float(value) for name, value in tensors.items() if name.startswith(FLOOR)}
    return Statistics({name: value for name, value in tensors.items() if not name.startswith(FLOOR)}, floor)


def cache_path(metric: MetricFactory, data: str, extractor: str, held_out: int) -> Path:
    """Return the file for a metric's statistics: its name changes with anything they depend on.

    data, extractor: fingerprints. held_out: number of real images that the floor is measured with.
    """
    kind, options = full_name(metric_class(metric)), getattr(metric, "keywords", {})
    identity = "\n".join(map(str, (FORMAT, kind, sorted(options.items()), data, extractor, held_out)))
    return cache.place("statistics", identity)


def held_out_count(num_reals: int, num_fakes: int) -> int:
    """Return how many real images the floor puts in the place of samples; 0 if there are too few for a floor.

    As many as there are samples, where the rest is at least as large; otherwise half. Halves of a small set give a
    floor that is too high (a FID's bias grows as 1 / number of images), but sets that share images would give none.
    """
    count = min(num_fakes, num_reals // 2)
    return count if count >= 2 else 0


def held_out_mask(num_reals: int, count: int) -> Tensor:
    """Return a bool mask `(num_reals,)` of `count` images, always the same ones."""
    mask = torch.zeros(num_reals, dtype=torch.bool)
    mask[torch.randperm(num_reals, generator=generator(0, "floor"))[:count]] = True
    return mask


def batches(data: Any, split: str, shares: Sequence[range]) -> Iterator[Tensor]:
    """Yield the images of the reference set with the indices of each share that is not empty."""
    loader = DataLoader(
        data.reference(split),
        batch_sampler=[list(share) for share in shares if share],
        num_workers=getattr(data, "num_workers", 0),
        collate_fn=_images,
        generator=generator(0, "workers"),  # the default one is the global random state
    )
    return iter(loader)


def _images(samples: list[dict[str, Any]]) -> Tensor:
    return torch.stack([sample["image"] for sample in samples])
