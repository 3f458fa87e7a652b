"""The metrics of an evaluation: by their names in `conf`, what rows they take, and what cannot be measured here."""

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
from gan_lightning.metrics.preset import Preset, divided
from gan_lightning.networks.styles import StyleGenerator

Factories = Mapping[str, MetricFactory]


class Selection:
    """Metrics by name, their extractor, and what of a preset was left out.

    metrics: name -> a metric's class (or a partial with options), among them a Preset, whose metrics are left out where
    they cannot be measured. left_out: these by name, and why. extractor: None will do if no metric needs features.
    """

    def __init__(self, metrics: Mapping[str, MetricFactory | Preset], extractor: Extractor | None) -> None:
        self.metrics, self._optional = divided(metrics)
        self.left_out: dict[str, str] = {}
        self._extractor = extractor

    @property
    def extractor(self) -> Extractor | None:
        """The extractor if a metric uses it, else None."""
        return self._extractor if self._uses_extractor else None

    @property
    def compared(self) -> dict[str, MetricFactory]:
        """The metrics that compare samples with real images."""
        wanted = {name: kinds(factory) for name, factory in self.metrics.items()}
        return {name: self.metrics[name] for name, rows in wanted.items() if rows and not rows & {"points", *PAIRED}}

    @property
    def only_pairs(self) -> bool:
        """Whether samples are compared with their targets, and with nothing else."""
        return bool(self.consumed & {*PAIRED}) and not self.compared

    def modes(self, data: Any) -> int:
        """Return how many modes samples are compared with, where no metric compares them with images."""
        if len(data.image_shape) == 1:
            return len(data.modes())
        return 0 if self.compared else getattr(data, "num_modes", 0)

    @property
    def consumed(self) -> set[str]:
        """The kinds of rows of samples that the metrics take."""
        return {kind for factory in self.metrics.values() for kind in consumed(factory)}

    @property
    def measures_generator(self) -> bool:
        """Whether a metric looks at the networks themselves."""
        return any(issubclass(metric_class(factory), GeneratorMetric) for factory in self.metrics.values())

    def built(self, setting: Setting) -> dict[str, AnyMetric]:
        """Return the metrics for this setting; raises a UserError for what cannot be measured in it."""
        return {name: factory(setting) for name, factory in self.metrics.items()}

    def doubts(self, setting: Setting) -> list[str]:
        """Return what makes scores doubtful in this setting, in sentences."""
        metrics = [metric for metric in self.built(setting).values() if isinstance(metric, SampleMetric)]
        return list(dict.fromkeys(doubt for metric in metrics for doubt in metric.doubts()))

    def leave_out(self, reasons: Mapping[str, str]) -> None:
        """Do without these metrics, of which `check` said why on another process."""
        self.left_out |= reasons
        self.metrics = {name: factory for name, factory in self.metrics.items() if name not in self.left_out}

    def check(self, setting: Setting, data: Any, split: str) -> dict[str, str]:
        """Raise a UserError for what cannot be measured; download an extractor's weights.

        Of a preset it is left out instead, and the reason is printed. Returns `left_out`.
        """

        def comparison(metrics: Factories) -> None:
            check_images(metrics, self.compared, setting, split)
            check_logits(metrics, self._extractor)

        def demands(metrics: Factories) -> None:
            check_setting(metrics, setting)

        self._leave_out(comparison)
        if len(setting.image_shape) == 1:  # weights must not be downloaded in vain
            self._leave_out(demands)
        comparison(self.metrics)
        if self._uses_extractor:
            try:
                self._needed_extractor().check(data)
            except UserError:  # nobody is to look for weights first, and hear then that they were of no use
                demands(self.metrics)
                raise
        self._leave_out(demands)
        demands(self.metrics)
        return self.left_out

    def _leave_out(self, check: Callable[[Factories], None]) -> None:
        """Leave out what a preset brought and `check` refuses, and say why."""
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
    def _uses_extractor(self) -> bool:
        return any(
            set(EXTRACTED) & kinds(factory) or (issubclass(metric_class(factory), GeneratorMetric) and _marked(factory))
            for factory in self.metrics.values()
        )


def _marked(factory: MetricFactory) -> bool:
    return metric_class(factory).marked


# What cannot be measured, in a sentence each --------------------------------------------------------------------------


def check_images(metrics: Factories, compared: Factories, setting: Setting, split: str) -> None:
    """Raise a UserError where there are no real images for those of the metrics that are `compared` with some."""
    if not metrics.keys() & compared.keys():
        return
    if len(setting.image_shape) == 1:
        raise UserError(
            f"metrics={listed(metrics)} compares images, and data={setting.data} holds points: use metrics=[modes]."
        )
    if setting.num_reals < 2:
        raise UserError(
            f"data={setting.data} has {setting.num_reals} image in its split '{split}', and scores need at least 2: "
            "add images, or use metrics=[]."
        )


def check_logits(metrics: Factories, extractor: Extractor | None) -> None:
    """Raise a UserError where a metric takes logits that the extractor has not."""
    for name, factory in metrics.items():
        if extractor is not None and not extractor.has_logits and "logits" in kinds(factory):
            raise UserError(
                f"metrics=[{name}] needs classes that images are put into, and extractor={extractor.name} has features "
                "alone: leave it out, as by metrics=[fid], or use extractor=inception."
            )


def check_setting(metrics: Factories, setting: Setting) -> None:
    """Raise a UserError where a metric refuses the setting, or takes classes that there are not."""
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
    """Return what metrics are built from; counts: of real images and of samples, fields: of a sample."""
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
    """Return the values of metrics that have seen all samples, by their own names; {} with a warning for broken ones.

    states: how many samples are in each state. subject: for those that measure a generator; its `sample` is Watched.
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
    """Return the scores without those that are no numbers, of which a warning tells."""
    for name in [name for name, value in scores.items() if not math.isfinite(value)]:
        warnings.warn(f"{name} came out as {scores.pop(name)}, which is no score: it is left out.", stacklevel=2)
    return scores


def refused(metrics: Factories, check: Callable[[Factories], None]) -> dict[str, str]:
    """Return for each metric that `check` raises a UserError for what it says."""
    reasons = {}
    for name, factory in metrics.items():
        try:
            check({name: factory})
        except UserError as error:
            reasons[name] = str(error)
    return reasons


def without_scores(states: Sequence[int], setting: Setting) -> str | None:
    """Return why samples with these counts of states have no scores; None if they are all fine."""
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
    """Return why there are no scores where a metric that measures the generator was given samples that are NaN."""
    return (
        f"metrics=[{name}] was given samples that are not finite (NaN or infinity), so this evaluation has no scores: "
        "training has diverged; try a lower learning rate or trainer.precision=32-true."
    )


def listed(names: Iterable[str]) -> str:
    """Return names as an option is written: [fid,is]."""
    return f"[{','.join(names)}]"


# By name --------------------------------------------------------------------------------------------------------------


def metrics_named(name: str) -> dict[str, Any]:
    """Return what conf/metrics/`name`.yaml selects, by name: one metric's factory, or those of a preset and itself."""
    node = _node("metrics", name)
    found: dict[str, Any] = {}
    for other in node.pop("defaults", []):
        found |= metrics_named(other) if other != "_self_" else {}
    return found | {key: built(entry) for key, entry in node.items()}


def extractor_named(name: str) -> Extractor:
    """Return the extractor of conf/extractor/`name`.yaml."""
    return built(_node("extractor", name))


def _node(group: str, name: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    folder = files("gan_lightning.conf") / group
    there = [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]
    if name not in there:
        raise UserError(f"There is no {group}={name}: choose one of {suggest(name, there)}.")
    return OmegaConf.to_container(OmegaConf.create((folder / f"{name}.yaml").read_text()))  # type: ignore[return-value]


def built(node: Any) -> Any:
    """Return what a node of our own files describes: objects where it names a `_target_`, else what it holds."""
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
