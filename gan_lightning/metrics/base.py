"""What a metric of samples and a feature extractor promise, so that one extractor pass serves every metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


@dataclass(frozen=True)
class Setting:
    """What is known about the things to be measured before the first sample: metrics are built from it.

    feature_dim, num_classes: the extractor's widths F and K, 0 where there is none.
    modes: `(M, D)` centres of a mixture, std: their spread.
    """

    feature_dim: int = 0
    num_classes: int = 0
    modes: Tensor | None = None
    std: float | None = None


class SampleMetric(Metric):
    """Compares generated samples with real ones; built from a Setting.

    consumes: which values `update(values, real)` takes: "features" `(N, F)`, "logits" `(N, K)` or "points" `(N, D)`.
    names: what `compute()` returns, in order.
    States whose name starts with `real_` depend on the real data alone; the evaluator caches them.
    """

    consumes: ClassVar[str]
    names: ClassVar[tuple[str, ...]]


MetricFactory = Callable[[Setting], SampleMetric]  # a metric's class, or a partial with its options

# The evaluator gathers by sample index; torchmetrics must not gather again.
LOCAL: dict[str, Any] = {"sync_on_compute": False}


def metric_class(factory: MetricFactory) -> type[SampleMetric]:
    """Return the class behind a factory that may be a partial."""
    return cast(type[SampleMetric], getattr(factory, "func", factory))


def real_state(metric: Metric) -> dict[str, Tensor]:
    """Return the states of `metric` that depend on the real data alone, on the CPU."""
    return {name: dim_zero_cat(value).cpu() for name, value in metric.metric_state.items() if name.startswith("real_")}


def set_state(metric: Metric, state: dict[str, Tensor]) -> None:
    """Give `metric` the states that `real_state` returned."""
    for name, value in state.items():
        setattr(metric, name, value)


def named_values(metric: SampleMetric) -> dict[str, float]:
    """Return what `metric.compute()` says, under the metric's own names; computed on the CPU, in float64."""
    values = metric.cpu().compute()
    values = values if isinstance(values, tuple) else (values,)
    return {name: float(value) for name, value in zip(metric.names, values, strict=True)}


class Identity(nn.Module):
    """Pass features through as float64: stands where torchmetrics expects its own network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` as float64."""
        return features.double()


class Extractor(ABC):
    """Images to features and logits, in one forward pass, in float32 whatever precision training uses.

    name: for the protocol's text. suffix: what scores are marked with, "" for verified Inception alone.
    feature_dim, num_classes: widths F and K. fingerprint: identifies weights and resize, known after `prepare`.
    """

    name: str
    suffix: str
    feature_dim: int
    num_classes: int
    fingerprint: str
    chunk = 256  # images per forward pass, bounds the memory of activations
    network: nn.Module

    @abstractmethod
    def check(self, data: Any) -> None:
        """Raise a UserError if features of `data` cannot be had; download what is missing."""

    @abstractmethod
    def prepare(self, data: Any, device: torch.device | str) -> None:
        """Make the network ready on `device`. All processes call it together."""

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, F)` and logits `(N, K)` of uint8 images `(N, C, H, W)` on the network's device."""

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return {"features": `(N, F)`, "logits": `(N, K)`}, float32, of uint8 images `(N, C, H, W)`, any device."""
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            parts = [self.forward(part.to(device)) for part in images.split(self.chunk)]
        features, logits = (torch.cat(values) for values in zip(*parts, strict=True))
        return {"features": features, "logits": logits}
