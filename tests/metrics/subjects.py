"""Generators, discriminators and data so small that what is measured of them is known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gan_lightning.data.sources import TensorImages
from gan_lightning.metrics.base import Subject


class Splits:
    """Images of several splits in the place of a data module."""

    name, num_workers = "splits", 0

    def __init__(self, num_classes: int = 0, **splits: tuple[Tensor, Tensor | None]) -> None:
        self.sources = {name: TensorImages(*values) for name, values in splits.items()}
        self.splits, self.num_classes = tuple(splits), num_classes
        self.image_shape = tuple(next(iter(self.sources.values())).images.shape[1:])
        self.num_reads = 0

    def reference(self, split: str) -> TensorImages:
        self.num_reads += 1
        return self.sources[split]

    def fingerprint(self, split: str) -> str:
        return self.sources[split].fingerprint


class Labelled(nn.Module):
    """A generator of which only the number of classes is asked."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes


def plain(value: float, count: int, shape: tuple[int, ...] = (1, 8, 8)) -> Tensor:
    """Return uint8 images of one brightness in [-1, 1]."""
    return torch.full((count, *shape), round((value + 1) * 127.5), dtype=torch.uint8)


def subject(data: Any, sample: Any, **options: Any) -> Subject:
    return Subject(sample=sample, data=data, **({"num_fakes": 40} | options))
