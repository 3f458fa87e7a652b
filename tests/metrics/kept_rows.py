"""Feeds metrics that keep the rows of real images, as the evaluator does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gan_lightning.metrics.base import SampleMetric, Setting, named_values


def setting(real: Tensor, fake: Tensor, **known: Any) -> Setting:
    return Setting(feature_dim=real.shape[1], num_reals=len(real), num_fakes=len(fake), **known)


def measured(kind: Callable[..., SampleMetric], real: Tensor, fake: Tensor, **options: Any) -> tuple[float, ...]:
    """Return the metric's scores of samples `(M, F)` against real features `(N, F)`."""
    metric = kind(setting(real, fake), **options)
    metric.real_rows = {"features": real}
    metric.finish_real()
    for part in fake.split(64):
        metric.update(part, real=False)
    return tuple(named_values(metric).values())


def features(count: int, dim: int = 24, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Return what features look like: float32, never negative, many zeros."""
    return (scale * torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) + 0.2).relu()
