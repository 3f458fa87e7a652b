"""Scores generated samples against a data set: one extractor pass for all metrics, the real side from a cache."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.evaluation.protocol import Protocol
from gan_lightning.evaluation.reference import Reference, held_out_count
from gan_lightning.evaluation.sample_rows import (
    Advance,
    RowMaker,
    Sampler,
    Watched,
    bar,
    sample_blocks,
    show,
)
from gan_lightning.evaluation.selection import Selection, diverged, without_scores
from gan_lightning.metrics.base import (
    AnyMetric,
    Extractor,
    GeneratorMetric,
    MetricFactory,
    SampleMetric,
    Setting,
    Subject,
    metric_class,
    named_values,
)
from gan_lightning.metrics.collective import from_rank_zero, rank
from gan_lightning.metrics.preset import Preset
from gan_lightning.networks.styles import StyleGenerator

MOST_FAKES = 10_000
MIXTURE_FAKES = 2_500  # the protocol of VEEGAN and PacGAN


class Evaluator:
    """Measures samples of a generator; it stands beside the module, so no extractor gets into a checkpoint.

    metrics: name -> a metric's class (or a partial with options), built from a `metrics.base.Setting`; among them a
    `metrics.preset.Preset`, whose metrics are left out where they cannot be measured.
    data: a data module: `name`, `reference(split)`, `fingerprint(split)`, `image_shape`, `num_classes`, and for a
    mixture `modes()` and `std`. extractor: None will do if no metric needs features.
    num_fakes: samples per evaluation; None takes as many as there are real images, at most 10,000 (mixtures: 2,500;
    stacked digits: 26,000).
    split: of the data that samples are compared with. batch_size: samples per process and forward pass.
    seed: stream of the evaluation's latents; raw: trained weights instead of their moving average. Both are for whoever
    brings the samples.
    """

    def __init__(
        self,
        metrics: Mapping[str, MetricFactory | Preset],
        data: Any,
        extractor: Extractor | None = None,
        *,
        num_fakes: int | None = None,
        split: str = "train",
        batch_size: int = 256,
        seed: int = 0,
        raw: bool = False,
    ) -> None:
        _at_least(2, "num_fakes", num_fakes)
        _at_least(1, "batch_size", batch_size)
        self.selection = Selection(metrics, extractor)
        self.data, self.extractor = data, extractor
        self.split, self.batch_size, self.seed, self.raw = split, batch_size, seed, raw
        self.samples = "raw samples" if raw else "EMA samples"  # what the protocol calls them, and:
        self.reals = f"{split} images"
        self.generator: nn.Module | None = None  # both from attach()
        self.discriminator: nn.Module | None = None
        self.given = False  # samples are images at hand, of no seed and split
        self.advance: Advance | None = None  # is told of progress; None: a bar of its own where there is a terminal
        self.floor: dict[str, float] = {}  # scores of held-out real images, from the first evaluation on
        self.device: torch.device | None = None  # set by prepare()
        self._num_fakes = num_fakes
        self._reference: Reference | None = None

    def attach(self, generator: nn.Module | None, discriminator: nn.Module | None = None) -> None:
        """Say whose samples will be measured, before `check`; for metrics that look at more than samples."""
        self.generator, self.discriminator = generator, discriminator

    @property
    def metrics(self) -> dict[str, MetricFactory]:
        """The metrics by name; from `check` on without those that a preset brought and that cannot be measured here."""
        return self.selection.metrics

    @property
    def left_out(self) -> dict[str, str]:
        """Metrics of a preset that cannot be measured here, and why; known from `check` on."""
        return self.selection.left_out

    @property
    def measures_generator(self) -> bool:
        """Whether a metric looks at the networks themselves."""
        return self.selection.measures_generator

    @property
    def num_reals(self) -> int:
        """Number of real images of the split."""
        return len(self.data.reference(self.split))

    @property
    def num_fakes(self) -> int:
        """Number of samples of one evaluation."""
        if self._num_fakes is not None:
            return self._num_fakes
        if wanted := getattr(self.data, "num_fakes", None):  # of a data set with a protocol of its own
            return wanted
        return MIXTURE_FAKES if self._points else min(self.num_reals, MOST_FAKES)

    @property
    def terms(self) -> Protocol:
        """What the scores compare."""
        shown = self.selection.extractor
        return Protocol(
            num_fakes=self.num_fakes,
            num_reals=self.num_reals,
            split="" if self.given and not hasattr(self.data, "splits") else self.split,
            samples=self.samples,
            reals=self.reals,
            raw=self.raw,
            seed=None if self.given else self.seed,
            extractor=shown.name if shown else "",
            resize=shown.resize if shown else "",
            suffix=shown.suffix if shown else "",
            modes=self._modes,
        )

    @property
    def protocol(self) -> str:
        """What the scores compare, in a line."""
        return str(self.terms)

    @property
    def floor_protocol(self) -> str:
        """What the floor compares, such as "898 train images vs the other 899"."""
        held_out = held_out_count(self.num_reals, self.num_fakes)
        return f"{held_out:,} {self.reals} vs the other {self.num_reals - held_out:,}"

    @property
    def setting(self) -> Setting:
        """What is known before the first sample."""
        return Setting(
            feature_dim=getattr(self.extractor, "feature_dim", 0),
            num_classes=getattr(self.extractor, "num_classes", 0),
            modes=self.data.modes() if self._points else None,
            std=getattr(self.data, "std", None),
            num_reals=self.num_reals,
            num_fakes=self.num_fakes,
            image_shape=tuple(self.data.image_shape),
            labels=self.data.num_classes,
            class_names=tuple(getattr(self.data, "class_names", None) or ()) or None,
            stacked=hasattr(self.data, "single"),
            fakes_labelled=bool(getattr(self.generator, "num_classes", 0)),
            has_generator=self.generator is not None,
            has_discriminator=self.discriminator is not None,
            has_styles=isinstance(self.generator, StyleGenerator),
            extractor=getattr(self.extractor, "name", ""),
            data=self.data.name,
        )

    def check(self) -> None:
        """Raise a UserError for what cannot be measured, before training; download an extractor's weights.

        Of a preset it is left out instead, and the reason is printed.
        """
        self.selection.check(self.setting, self.data, self.split)

    def prepare(self, device: torch.device | str = "cpu") -> None:
        """Make the extractor ready on `device`, training a classifier if need be; all processes call this together."""
        self.selection.leave_out(from_rank_zero(lambda: self.selection.check(self.setting, self.data, self.split)))
        if extractor := self.selection.extractor:
            extractor.prepare(self.data, device)
        if self.device is None and rank() == 0:
            metrics = [
                metric for metric in self.selection.built(self.setting).values() if isinstance(metric, SampleMetric)
            ]
            for doubt in dict.fromkeys(doubt for metric in metrics for doubt in metric.doubts()):
                warnings.warn(doubt, stacklevel=2)
        self.device = torch.device(device)

    def _warn(self) -> None:
        metrics = self.selection.built(self.setting).values()
        doubts = [doubt for metric in metrics if isinstance(metric, SampleMetric) for doubt in metric.doubts()]
        for doubt in dict.fromkeys(doubts):
            warnings.warn(doubt, stacklevel=3)

    @torch.no_grad()
    def evaluate(self, sample: Sampler, folder: Path | None = None, images_seen: int = 0) -> dict[str, float]:
        """Return the scores by their full names; a score that is not a number is left out.

        sample: (start, stop) -> the samples with these global indices: uint8 or float in [-1, 1] `(n, C, H, W)`, or
        points `(n, 2)`; where metrics want classes, (start, stop, labels `(n,)`) -> samples of these classes.
        folder: where metrics may leave pictures.
        All processes call this together; each brings its share, and all get rank zero's scores.
        """
        if not self.metrics:
            return {}
        if self.device is None:
            self.prepare()
        with self._shown() as advance:
            reference = self._known_reals(advance)
            metrics = self.selection.built(self.setting) if rank() == 0 else {}
            for name in reference.metrics if rank() == 0 else ():
                reference.load(metrics[name], name)  # type: ignore[arg-type]
            states = self._show_samples(sample, metrics, advance)
            subject = self._subject(sample, folder, images_seen)
            return from_rank_zero(lambda: self._finish(metrics, states, subject))

    def _known_reals(self, advance: Advance) -> Reference:
        if self._reference is None:
            extractor, device = self.selection.extractor, self.device
            assert device is not None
            compared = self.selection.compared
            reference = Reference(
                compared, self.setting, self.data, self.split, extractor, self.batch_size, device, advance
            )
            reference.prepare()
            self.floor = from_rank_zero(lambda: self._full_names(reference.floors))
            self._reference = reference
        return self._reference

    def _show_samples(self, sample: Sampler, metrics: dict[str, AnyMetric], advance: Advance) -> Tensor:
        """Give samples to the metrics that take them; return how many are in each state, on rank zero."""
        wanted = self.selection.consumed
        assert self.device is not None
        maker = RowMaker(wanted, self.data, self.extractor, self.device)
        classes: Any = getattr(self.generator, "num_classes", 0) if "labels" in wanted else 0
        found = sample_blocks(sample, maker, self.num_fakes, self.batch_size, self.seed, classes)
        takers = [metric for metric in metrics.values() if isinstance(metric, SampleMetric)]
        return show(found if wanted else iter(()), takers, self.num_fakes, advance)

    def _finish(self, metrics: dict[str, AnyMetric], states: Tensor, subject: Subject) -> dict[str, float]:
        if problem := without_scores(states.tolist(), self.setting):
            warnings.warn(problem, stacklevel=2)
            return {}
        values = {}
        for name, metric in metrics.items():
            if isinstance(metric, GeneratorMetric):
                metric.update(subject)
                if not cast(Watched, subject.sample).finite:
                    warnings.warn(diverged(name), stacklevel=2)
                    return {}
            values[name] = named_values(metric)
        scores = self._full_names(values)
        for name in [name for name, value in scores.items() if not math.isfinite(value)]:
            warnings.warn(f"{name} came out as {scores.pop(name)}, which is no score: it is left out.", stacklevel=2)
        return scores

    def _subject(self, sample: Sampler, folder: Path | None, images_seen: int) -> Subject:
        return Subject(
            sample=Watched(sample),
            data=self.data,
            generator=self.generator,
            discriminator=self.discriminator,
            extractor=self.selection.extractor,
            split=self.split,
            num_fakes=self.num_fakes,
            seed=self.seed,
            device=self.device or "cpu",
            folder=folder,
            images_seen=images_seen,
        )

    @contextmanager
    def _shown(self) -> Iterator[Advance]:
        if self.advance is not None:
            yield self.advance
        else:
            with bar() as advance:
                yield advance

    def _full_names(self, values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        """Return the scores of all metrics in one dict, in the order of the metrics."""
        terms, ordered = self.terms, [name for name in self.metrics if name in values]
        named = [terms.names(metric_class(self.metrics[name]), values[name]) for name in ordered]
        return {name: value for scores in named for name, value in scores.items()}

    @property
    def _points(self) -> bool:
        return len(self.data.image_shape) == 1

    @property
    def _modes(self) -> int:
        """How many modes samples are compared with, where no metric compares them with images."""
        if self._points:
            return len(self.data.modes())
        return 0 if self.selection.compared else getattr(self.data, "num_modes", 0)


def _at_least(least: int, name: str, value: int | None) -> None:
    if value is not None and value < least:
        raise UserError(f"evaluation.{name}={value} is too small: give at least {least}.")
