"""What is known of the real data, measured once: rows, the metrics' states, and the floor of the scores; all cached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gan_lightning.metrics import cache
from gan_lightning.metrics.base import MetricFactory, metric_class
from gan_lightning.networks.registry import full_name
from gan_lightning.streams import generator

FORMAT = 2  # part of the cache's key, to be raised when the meaning of what is stored changes


def read_state(path: Path) -> dict[str, Tensor] | None:
    """Return the `real_` states of a metric; None where they are not known."""
    return cache.read(path)


def read_floor(path: Path) -> dict[str, float] | None:
    """Return a metric's scores of real images, by its own names; {} for no floor, None where it is not known."""
    tensors = cache.read(path)
    return None if tensors is None else {name: float(value) for name, value in tensors.items()}


def write_floor(path: Path, floor: dict[str, float]) -> None:
    """Write what `read_floor` reads."""
    cache.write(path, {name: torch.tensor(value, dtype=torch.float64) for name, value in floor.items()})


def state_path(metric: MetricFactory, *fingerprints: str) -> Path:
    """Return the file of a metric's `real_` states: its name changes with anything they depend on."""
    return cache.place("statistics", _identity(metric, *fingerprints))


def floor_path(metric: MetricFactory, held_out: int, *fingerprints: str) -> Path:
    """Return the file of a metric's floor, measured with `held_out` images."""
    return cache.place("floors", _identity(metric, held_out, *fingerprints))


def _identity(metric: MetricFactory, *parts: object) -> str:
    name, options = full_name(metric_class(metric)), getattr(metric, "keywords", {})
    return "\n".join(map(str, (FORMAT, name, sorted(options.items()), *parts)))


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


def batches(data: Any, split: str, shares: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield images `(n, ...)` and labels `(n,)` (None where there are none) of each share that is not empty."""
    loader = DataLoader(
        data.reference(split),
        batch_sampler=[list(share) for share in shares if share],
        num_workers=getattr(data, "num_workers", 0),
        collate_fn=_collate,
        generator=generator(0, "workers"),  # the default one is the global random state
    )
    return iter(loader)


def _collate(samples: list[dict[str, Any]]) -> tuple[Tensor, Tensor | None]:
    labels = torch.tensor([sample["label"] for sample in samples]) if "label" in samples[0] else None
    return torch.stack([sample["image"] for sample in samples]), labels
