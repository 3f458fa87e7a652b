"""The metrics of an evaluation: their names in `conf`, the rows they take, and which cannot be measured."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from typing import Any, cast

from torch import Tensor, nn

from gan_lightning.errors import UserError, suggest
from gan_lightning.evaluation.sample_rows import EXTRACTED, FEATURES_NOT_FINITE, NOT_FINITE, Watched
from gan_lightning.metrics.base import (
    PAIRED,
    AnyMetric,
    Extractor,
    GeneratorMetric,
    MetricFactory,
    SampleMetric,
    Setting,
    Subject,
    consumed,
    kinds,
    metric_class,
    named_values,
)
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.preset import Preset, divided
from gan_lightning.networks.styles import StyleGenerator

Factories = Mapping[str, MetricFactory]


class Selection:
    """Metrics by name, their extractor, and the metrics of a preset that were left out.

    metrics: name -> a metric's class (or a partial with options), it may contain a Preset, whose metrics are left out
    if they cannot be measured. left_out: these by name, and why. extractor: may be None if no metric needs features.
    """

    def __init__(self, metrics: Mapping[str, MetricFactory | Preset], extractor: Extractor | None) -> None:
        self.metrics, self._optional = divided(metrics)
        self.left_out: dict[str, str] = {}
        self._extractor = extractor

    @property
    def extractor(self) -> Extractor | None:
        """The extractor if a metric uses it, else None."""
        return self._extractor if self.uses_extractor else None

    @property
    def compared(self) -> dict[str, MetricFactory]:
        """The metrics that compare samples with real images."""
        wanted = {name: kinds(factory) for name, factory in self.metrics.items()}
        return {name: self.metrics[name] for name, rows in wanted.items() if rows and not rows & {"points", *PAIRED}}

    @property
    def only_pairs(self) -> bool:
        """Whether samples are only compared with their targets."""
        return bool(self.consumed & {*PAIRED}) and not self.compared

    def modes(self, data: Any) -> int:
        """Return the number of modes that samples are compared with, if no metric compares them with images."""
        if len(data.image_shape) == 1:
            return len(data.modes())
        return 0 if self.compared else getattr(data, "num_modes", 0)

    @property
    def consumed(self) -> set[str]:
        """The kinds of rows of samples that the metrics take."""
        return {kind for factory in self.metrics.values() for kind in consumed(factory)}

    @property
    def measures_generator(self) -> bool:
        """Whether a metric measures the networks themselves."""
        return any(issubclass(metric_class(factory), GeneratorMetric) for factory in self.metrics.values())

    def built(self, setting: Setting) -> dict[str, AnyMetric]:
        """Return the metrics for this setting; raises a UserError for metrics that cannot be measured."""
        return {name: factory(setting) for name, factory in self.metrics.items()}

    def doubts(self, setting: Setting) -> list[str]:
        """Return sentences that say why scores are unreliable in this setting."""
        metrics = [metric for metric in self.built(setting).values() if isinstance(metric, SampleMetric)]
        return list(dict.fromkeys(doubt for metric in metrics for doubt in metric.doubts()))

    def remarks(self, setting: Setting) -> tuple[str, ...]:
        """Return what the protocol must say of the metrics in this setting."""
        metrics = [metric for metric in self.built(setting).values() if isinstance(metric, SampleMetric)]
        return tuple(filter(None, (metric.remark() for metric in metrics)))

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Leave out these metrics, for the reasons found by `check` on another process."""
        self.left_out |= reasons
        self.metrics = {name: factory for name, factory in self.metrics.items() if name not in self.left_out}

    def check(self, setting: Setting, data: Any, split: str) -> dict[str, str]:
        """Raise a UserError for metrics that cannot be measured; download the extractor's weights.

        A preset's metrics are left out instead, and the reason is printed. Returns `left_out`.
        """

        def comparison(metrics: Factories) -> None:
            check_statistics(metrics, setting)
            check_images(metrics, self.compared, setting, split)
            check_logits(metrics, self._extractor)

        def demands(metrics: Factories) -> None:
            check_setting(metrics, setting)

        self._leave_out(comparison)
        if len(setting.image_shape) == 1:  # before weights are downloaded in vain
            self._leave_out(demands)
        comparison(self.metrics)
        if self.uses_extractor:
            try:
                self._needed_extractor().check(data)
            except UserError:  # other errors first: weights might be fetched in vain
                demands(self.metrics)
                raise
        self._leave_out(demands)
        demands(self.metrics)
        return self.left_out

    def _leave_out(self, check: Callable[[Factories], None]) -> None:
        """Leave out a preset's metrics that `check` refuses, and print why."""
        reasons = refused({n: factory for n, factory in self.metrics.items() if n in self._optional}, check)
        if reasons and len(reasons) == len(self.metrics):
            raise UserError(next(iter(reasons.values())))
        for name, reason in reasons.items():
            print(f"Left out {name}: {reason}", flush=True)
        self.leave_out(reasons)

    def _needed_extractor(self) -> Extractor:
        if self._extractor is None:
            raise UserError(
                f"metrics={listed(self.metrics)} needs features: add extractor=inception or extractor=classifier."
            )
        return self._extractor

    @property
    def uses_extractor(self) -> bool:
        """Whether a metric needs an extractor."""
        return any(
            set(EXTRACTED) & kinds(factory) or (issubclass(metric_class(factory), GeneratorMetric) and _marked(factory))
            for factory in self.metrics.values()
        )


def _marked(factory: MetricFactory) -> bool:
    return metric_class(factory).marked


# What cannot be measured, in a sentence each --------------------------------------------------------------------------


def check_images(metrics: Factories, compared: Factories, setting: Setting, split: str) -> None:
    """Raise a UserError if there are no real images for the metrics in `compared`, which need some."""
    if not metrics.keys() & compared.keys():
        return
    if len(setting.image_shape) == 1:
        raise UserError(
            f"metrics={listed(metrics)} compares images, and data={setting.data} holds points: use metrics=[modes]."
        )
    if setting.num_reals < 2 and not setting.statistics:
        raise UserError(
            f"data={setting.data} has {setting.num_reals} image in its split '{split}', and scores need at least 2: "
            "add images, or use metrics=[]."
        )


def check_statistics(metrics: Factories, setting: Setting) -> None:
    """Raise a UserError if precomputed statistics stand for the real images, and a metric is not the FID."""
    for name, factory in metrics.items() if setting.statistics else ():
        if not issubclass(metric_class(factory), FID):
            raise UserError(
                f"metrics=[{name}] cannot be measured against {setting.statistics}, which holds the mean and the "
                "covariance of features alone: use metrics=[fid], or a folder of the real images."
            )


def check_logits(metrics: Factories, extractor: Extractor | None) -> None:
    """Raise a UserError if a metric takes logits and the extractor has none."""
    for name, factory in metrics.items():
        if extractor is not None and not extractor.has_logits and "logits" in kinds(factory):
            raise UserError(
                f"metrics=[{name}] needs classes that images are put into, and extractor={extractor.name} has features "
                "alone: leave it out, as by metrics=[fid], or use extractor=inception."
            )


def check_setting(metrics: Factories, setting: Setting) -> None:
    """Raise a UserError if a metric refuses the setting, or needs classes and there are none."""
    for factory in metrics.values():
        factory(setting)
    for name, factory in metrics.items():
        if "labels" in kinds(factory) and not setting.labels:
            raise UserError(f"metrics=[{name}] needs classes, and data={setting.data} is unlabelled: leave it out.")
        if "labels" in consumed(factory) and not setting.fakes_labelled:
            raise UserError(f"metrics=[{name}] needs samples of given classes, and these have none: leave it out.")
        if lacking := [kind for kind in PAIRED if kind in kinds(factory) and kind not in setting.fields]:
            raise UserError(f"metrics=[{name}] needs samples with {lacking[0]}, and these have none: leave it out.")


def setting_of(
    data: Any,
    extractor: Extractor | None,
    generator: nn.Module | None,
    discriminator: nn.Module | None,
    counts: tuple[int, int],
    fields: tuple[str, ...],
) -> Setting:
    """Return the Setting for metrics. counts: number of real images and of samples. fields: of a sample."""
    return Setting(
        feature_dim=getattr(extractor, "feature_dim", 0),
        num_classes=getattr(extractor, "num_classes", 0),
        modes=data.modes() if len(data.image_shape) == 1 else None,
        std=getattr(data, "std", None),
        num_reals=counts[0],
        num_fakes=counts[1],
        image_shape=tuple(data.image_shape),
        labels=data.num_classes,
        class_names=tuple(getattr(data, "class_names", None) or ()) or None,
        stacked=hasattr(data, "single"),
        fakes_labelled=bool(getattr(generator, "num_classes", 0)),
        has_generator=generator is not None,
        has_discriminator=discriminator is not None,
        has_styles=isinstance(generator, StyleGenerator),
        extractor=getattr(extractor, "name", ""),
        data=data.name,
        fields=fields,
    )


def measured(
    metrics: Mapping[str, AnyMetric], states: Tensor, subject: Subject | None, setting: Setting
) -> dict[str, dict[str, float]]:
    """Return the values of metrics after all samples, by their own names; {} with a warning for invalid ones.

    states: number of samples in each state. subject: for metrics of a generator; its `sample` is Watched.
    """
    if problem := without_scores(states.tolist(), setting):
        warnings.warn(problem, stacklevel=2)
        return {}
    values = {}
    for name, metric in metrics.items():
        if isinstance(metric, GeneratorMetric):
            assert subject is not None
            metric.update(subject)
            if not cast(Watched, subject.sample).finite:
                warnings.warn(diverged(name), stacklevel=2)
                return {}
        values[name] = named_values(metric)
    return values


def finite(scores: dict[str, float]) -> dict[str, float]:
    """Return the scores without those that are not finite, with a warning."""
    for name in [name for name, value in scores.items() if not math.isfinite(value)]:
        warnings.warn(f"{name} came out as {scores.pop(name)}, which is no score: it is left out.", stacklevel=2)
    return scores


def refused(metrics: Factories, check: Callable[[Factories], None]) -> dict[str, str]:
    """Return the message of the UserError for each metric that `check` refuses."""
    reasons = {}
    for name, factory in metrics.items():
        try:
            check({name: factory})
        except UserError as error:
            reasons[name] = str(error)
    return reasons


def without_scores(states: Sequence[int], setting: Setting) -> str | None:
    """Return why samples with these counts of states have no scores; None if all samples are valid."""
    if states[NOT_FINITE]:
        return (
            f"{states[NOT_FINITE]:,} of {setting.num_fakes:,} samples are not finite (NaN or infinity), so this "
            "evaluation has no scores: training has diverged; try a lower learning rate or trainer.precision=32-true."
        )
    if states[FEATURES_NOT_FINITE]:
        return (
            f"The {setting.extractor} features of {states[FEATURES_NOT_FINITE]:,} of {setting.num_fakes:,} samples are "
            "not finite, so this evaluation has no scores: the extractor's weights are damaged."
        )
    return None


def diverged(name: str) -> str:
    """Return why there are no scores if a metric of the generator got samples that are NaN."""
    return (
        f"metrics=[{name}] was given samples that are not finite (NaN or infinity), so this evaluation has no scores: "
        "training has diverged; try a lower learning rate or trainer.precision=32-true."
    )


def listed(names: Iterable[str]) -> str:
    """Return names as written on the command line: [fid,is]."""
    return f"[{','.join(names)}]"


# By name --------------------------------------------------------------------------------------------------------------


def metrics_named(name: str) -> dict[str, Any]:
    """Return the factories in conf/metrics/`name`.yaml by name: of one metric, or of a preset and its metrics."""
    node = node_of("metrics", name)
    found: dict[str, Any] = {}
    for other in node.pop("defaults", []):
        found |= metrics_named(other) if other != "_self_" else {}
    return found | {key: built(entry) for key, entry in node.items()}


def extractor_named(name: str) -> Extractor:
    """Return the extractor of conf/extractor/`name`.yaml."""
    return built(node_of("extractor", name))


def node_of(group: str, name: str) -> dict[str, Any]:
    """Return the content of conf/`group`/`name`.yaml; UserError if there is no such file."""
    from omegaconf import OmegaConf

    folder = files("gan_lightning.conf") / group
    there = [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]
    if name not in there:
        raise UserError(f"There is no {group}={name}: choose one of {suggest(name, there)}.")
    return OmegaConf.to_container(OmegaConf.create((folder / f"{name}.yaml").read_text()))  # type: ignore[return-value]


def built(node: Any) -> Any:
    """Return the content of a node of our files, with each `_target_` built."""
    if isinstance(node, list):
        return [built(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    options = {key: built(value) for key, value in node.items() if key not in ("_target_", "_partial_")}
    if "_target_" not in node:
        return options
    module, _, name = node["_target_"].rpartition(".")
    target = getattr(importlib.import_module(module), name)
    return partial(target, **options) if node.get("_partial_") else target(**options)
