"""What a metric of samples and a feature extractor promise, so that one extractor pass serves every metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


@dataclass(frozen=True)
class Setting:
    """What is known about the things to be measured before the first sample: metrics are built from it.

    feature_dim, num_classes: the extractor's widths F and K, 0 where there is none; extractor: its name.
    modes: `(M, D)` centres of a mixture, std: their spread.
    num_reals, num_fakes: how many of each are compared. image_shape: of a sample. data: the data set's name.
    labels: classes of the data set, 0 where it is unlabelled; class_names: theirs.
    stacked: whether images are digits stacked as colours, see `data.Stacked`.
    fakes_labelled: whether samples are made for classes.
    has_generator, has_discriminator: whether the networks are at hand, which they are not for two folders of images.
    has_styles: whether the generator maps latents to styles.
    fields: what there is of each sample: "images", and "targets" and "sources" of a producer that has them.
    """

    feature_dim: int = 0
    num_classes: int = 0
    modes: Tensor | None = None
    std: float | None = None
    num_reals: int = 0
    num_fakes: int = 0
    image_shape: tuple[int, ...] = ()
    labels: int = 0
    class_names: tuple[str, ...] | None = None
    stacked: bool = False
    fakes_labelled: bool = False
    has_generator: bool = False
    has_discriminator: bool = False
    has_styles: bool = False
    extractor: str = ""
    data: str = ""
    fields: tuple[str, ...] = ("images",)


class SampleMetric(Metric):
    """Compares generated samples with real ones; built from a Setting.

    consumes: kinds of rows that `update(*values, real=...)` takes, in this order: "features" `(N, F)`, "logits"
        `(N, K)`, "points" `(N, D)`, "labels" `(N,)`, "images" uint8 `(N, C, H, W)`; of samples that are made out of
        something "targets" and "sources", in the form of images: such a metric is shown no real images.
    names: what `compute()` returns, in order.
    protocol: what completes the names: "split" for number of samples and split (kid10k_train), "count" for the number
        alone (is10k), "" for nothing.
    marked: whether the scores bear the extractor's suffix.
    keeps: kinds whose real rows are given as `real_rows` before the first sample, instead of passing through `update`.
    States whose name starts with `real_` depend on the real data alone; the evaluator caches them.
    """

    consumes: ClassVar[tuple[str, ...]]
    names: ClassVar[tuple[str, ...]]
    protocol: ClassVar[str] = "split"
    marked: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    real_rows: Mapping[str, Tensor]

    def finish_real(self) -> None:
        """Turn all that is known of the real data into `real_` states; called once, before they are cached.

        The metric is then on the evaluation's device, and `real_rows` are on the CPU.

        They are found again by the metric's options, the real data and the extractor: they may depend on nothing else
        of the setting, such as the number of samples.
        """

    def doubts(self) -> list[str]:
        """Return what makes the scores doubtful in this setting, in sentences; they are shown before the first."""
        return []


@dataclass(frozen=True)
class Subject:
    """A generator to be measured as such, with all that belongs to it; None where it is not at hand.

    sample: (start, stop, labels `(n,)` or None to draw them) -> images `(n, C, H, W)` in [-1, 1].
    generator: the network that samples, with averaged weights unless raw ones are measured.
    data: the data module. folder: where pictures may be left.
    """

    sample: Callable[..., Tensor]
    data: Any
    generator: nn.Module | None = None
    discriminator: nn.Module | None = None
    extractor: Extractor | None = None
    split: str = "train"
    num_fakes: int = 0
    seed: int = 0
    device: torch.device | str = "cpu"
    folder: Path | None = None
    images_seen: int = 0


class GeneratorMetric(Metric):
    """Measures a generator itself: built from a Setting, `update(subject)` is called once, on one process.

    names, protocol, marked: as SampleMetric's.
    """

    names: ClassVar[tuple[str, ...]]
    protocol: ClassVar[str] = "count"
    marked: ClassVar[bool] = False


PAIRED = ("targets", "sources")  # kinds of rows that a producer has beside its images
AnyMetric = SampleMetric | GeneratorMetric
MetricClass = type[SampleMetric] | type[GeneratorMetric]
MetricFactory = Callable[[Setting], AnyMetric]  # a metric's class, or a partial with its options

# The evaluator gathers by sample index; torchmetrics must not gather again.
LOCAL: dict[str, Any] = {"sync_on_compute": False}


def metric_class(factory: MetricFactory) -> MetricClass:
    """Return the class behind a factory that may be a partial."""
    return cast(MetricClass, getattr(factory, "func", factory))


def kinds(factory: MetricFactory) -> set[str]:
    """Return the kinds of rows that a metric consumes or keeps; none for one that measures a generator."""
    kind = metric_class(factory)
    return {*kind.consumes, *kind.keeps} if issubclass(kind, SampleMetric) else set()


def consumed(factory: MetricFactory) -> tuple[str, ...]:
    """Return the kinds of rows that a metric takes through `update`; none for one that measures a generator."""
    return getattr(metric_class(factory), "consumes", ())


def real_state(metric: Metric) -> dict[str, Tensor]:
    """Return the states of `metric` that depend on the real data alone, on the CPU."""
    return {name: dim_zero_cat(value).cpu() for name, value in metric.metric_state.items() if name.startswith("real_")}


def set_state(metric: Metric, state: dict[str, Tensor]) -> None:
    """Give `metric` the states that `real_state` returned."""
    for name, value in state.items():
        setattr(metric, name, value)


def named_values(metric: AnyMetric) -> dict[str, float]:
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
    resize: how images of any size are brought to its input, for the protocol's text.
    feature_dim, num_classes: widths F and K. fingerprint: identifies weights and resize, known after `prepare`.
    has_logits: False where K is 0 for any data.
    """

    name: str
    suffix: str
    resize: str = ""
    feature_dim: int
    num_classes: int
    fingerprint: str
    has_logits: ClassVar[bool] = True
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
