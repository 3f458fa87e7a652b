"""Interfaces of metrics and feature extractors; one pass through the extractor serves all metrics."""

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

from gan_lightning.errors import UserError


@dataclass(frozen=True)
class Setting:
    """What is known before the first sample is measured; metrics are built from it.

    feature_dim, num_classes: number of features F and of logits K of the extractor, 0 without one.
    extractor: its name.
    modes: centres `(M, D)` of the Gaussians of a mixture. std: their standard deviation.
    num_reals, num_fakes: number of real images and of samples that are compared.
    image_shape: shape of one sample. data: name of the data set.
    labels: number of classes of the data set, 0 if it has no labels. class_names: names of the classes.
    stacked: whether an image is three digits, one in each colour channel; see `data.Stacked`.
    fakes_labelled: whether samples have class labels.
    has_generator, has_discriminator: whether the network is available; it is not when two folders of images are
        compared.
    has_styles: whether the generator has a mapping network from latents to styles.
    fields: what a producer returns for each sample: "images", and "targets" and "sources" if it has them.
    statistics: name of the file of precomputed statistics that stands for the real images, "" for none.
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
    statistics: str = ""


class SampleMetric(Metric):
    """Compares generated samples with real images; built from a Setting.

    consumes: kinds of rows that `update(*values, real=...)` takes, in this order: "features" `(N, F)`, "logits"
        `(N, K)`, "points" `(N, D)`, "labels" `(N,)`, "images" uint8 `(N, C, H, W)`; "targets" and "sources" have the
        form of images and exist where samples are made from an input. A metric that consumes them gets no real images.
    names: names of the values that `compute()` returns, in order.
    protocol: what is appended to the names: "split": number of samples and split (kid10k_train); "count": number of
        samples only (is10k); "": nothing.
    marked: whether the extractor's suffix is appended to the names.
    keeps: kinds of rows whose real values are set as `real_rows` before the first sample and not passed to `update`.
    States whose names start with `real_` depend only on the real data; the evaluator caches them.
    """

    consumes: ClassVar[tuple[str, ...]]
    names: ClassVar[tuple[str, ...]]
    protocol: ClassVar[str] = "split"
    marked: ClassVar[bool] = True
    keeps: ClassVar[tuple[str, ...]] = ()
    real_rows: Mapping[str, Tensor]

    def finish_real(self) -> None:
        """Compute the `real_` states from all real data; called once, before they are cached.

        The metric is then on the evaluation's device, and `real_rows` are on the CPU.

        The key in the cache is made of the metric's options, the real data and the extractor. The states must not
        depend on anything else in the setting, such as the number of samples.
        """

    def doubts(self) -> list[str]:
        """Return sentences that say why scores are unreliable in this setting; shown before the first score."""
        return []

    def remark(self) -> str:
        """Return what the protocol must say of this metric in this setting, "" for nothing."""
        return ""


@dataclass(frozen=True)
class Subject:
    """A generator that is measured, with what a metric may need; what is not available is None.

    sample: (start, stop, labels `(n,)` or None to draw them) -> images `(n, C, H, W)` in [-1, 1].
    generator: the network that makes the samples, with averaged weights unless the raw weights are measured.
    data: the data module. folder: where the metric may write pictures.
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
    """Measures the generator itself; built from a Setting. `update(subject)` is called once, on one process.

    names, protocol, marked: see SampleMetric.
    """

    names: ClassVar[tuple[str, ...]]
    protocol: ClassVar[str] = "count"
    marked: ClassVar[bool] = False


PAIRED = ("targets", "sources")  # kinds of rows that a producer may return beside its images
AnyMetric = SampleMetric | GeneratorMetric
MetricClass = type[SampleMetric] | type[GeneratorMetric]
MetricFactory = Callable[[Setting], AnyMetric]  # a metric's class, or a partial with its options

# The evaluator gathers by sample index; torchmetrics must not gather again.
LOCAL: dict[str, Any] = {"sync_on_compute": False}


def metric_class(factory: MetricFactory) -> MetricClass:
    """Return the class behind a factory that may be a partial."""
    return cast(MetricClass, getattr(factory, "func", factory))


def kinds(factory: MetricFactory) -> set[str]:
    """Return the kinds of rows that a metric consumes or keeps; empty for a GeneratorMetric."""
    kind = metric_class(factory)
    return {*kind.consumes, *kind.keeps} if issubclass(kind, SampleMetric) else set()


def consumed(factory: MetricFactory) -> tuple[str, ...]:
    """Return the kinds of rows that a metric takes through `update`; empty for a GeneratorMetric."""
    return getattr(metric_class(factory), "consumes", ())


def real_state(metric: Metric) -> dict[str, Tensor]:
    """Return the states of `metric` that depend only on the real data, on the CPU."""
    return {name: dim_zero_cat(value).cpu() for name, value in metric.metric_state.items() if name.startswith("real_")}


def set_state(metric: Metric, state: dict[str, Tensor]) -> None:
    """Set the states that `real_state` returned."""
    for name, value in state.items():
        setattr(metric, name, value)


def named_values(metric: AnyMetric) -> dict[str, float]:
    """Return the values of `metric.compute()` under the metric's names; computed on the CPU, in float64."""
    values = metric.cpu().compute()
    values = values if isinstance(values, tuple) else (values,)
    return {name: float(value) for name, value in zip(metric.names, values, strict=True)}


class Identity(nn.Module):
    """Return features unchanged, as float64; replaces the network that torchmetrics expects."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return `features` as float64."""
        return features.double()


class Extractor(ABC):
    """Computes features and logits of images in one forward pass, in float32 at any training precision.

    name: for the protocol's text. suffix: appended to the scores' names; "" only for verified Inception weights.
    resize: how images are resized to the input size, for the protocol's text.
    feature_dim, num_classes: number of features F and of logits K.
    fingerprint: identifies the weights and the resizing; known after `prepare`.
    has_logits: False if K is 0 for every data set.
    """

    name: str
    suffix: str
    resize: str = ""
    feature_dim: int
    num_classes: int
    fingerprint: str
    has_logits: ClassVar[bool] = True
    chunk = 256  # images per forward pass; limits the memory for activations
    network: nn.Module

    @abstractmethod
    def check(self, data: Any) -> None:
        """Raise a UserError if features of `data` cannot be computed; download what is missing."""

    def prepare(self, data: Any, device: torch.device | str) -> None:
        """Make the network ready on `device`; here `check` reads it. All processes call it together."""
        self.check(data)
        self.network.to(device)

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, F)` and logits `(N, K)` of uint8 images `(N, C, H, W)` on the network's device."""

    @staticmethod
    def check_channels(images: Tensor, who: str) -> None:
        """Raise UserError, which begins with `who`, unless the images are grey or RGB."""
        if images.shape[1] not in (1, 3):
            raise UserError(
                f"{who} takes images with 1 or 3 channels, and these have {images.shape[1]}: use extractor=classifier "
                "or metrics=[]."
            )

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Return {"features": `(N, F)`, "logits": `(N, K)`}, float32, of uint8 images `(N, C, H, W)`, any device."""
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            parts = [self.forward(part.to(device)) for part in images.split(self.chunk)]
        features, logits = (torch.cat(values) for values in zip(*parts, strict=True))
        return {"features": features, "logits": logits}
