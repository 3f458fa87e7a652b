"""Scores samples against a data set: one extractor pass for all metrics; statistics of real images are cached."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.evaluation.protocol import Protocol
from gan_lightning.evaluation.reference import Reference, held_out_count
from gan_lightning.evaluation.sample_rows import Advance, RowMaker, Watched, bar, sample_blocks, show
from gan_lightning.evaluation.selection import Selection, finite, measured, setting_of
from gan_lightning.evaluation.statistics import KnownReference, Statistics
from gan_lightning.inference.producers import Made, Producer
from gan_lightning.metrics.base import AnyMetric, Extractor, MetricFactory, SampleMetric, Setting, Subject
from gan_lightning.metrics.collective import from_rank_zero, rank
from gan_lightning.metrics.preset import Preset

MOST_FAKES = 10_000
MIXTURE_FAKES = 2_500  # the protocol of VEEGAN and PacGAN


class Evaluator:
    """Measures the samples of a producer. It is not part of the module, so that no extractor gets into a checkpoint.

    metrics: name -> a metric's class (or a partial with options), built from a `metrics.base.Setting`; it may contain a
    `metrics.preset.Preset`, whose metrics are left out if they cannot be measured.
    data: a data module: `name`, `reference(split)`, `fingerprint(split)`, `image_shape`, `num_classes`, and for a
    mixture `modes()` and `std`. extractor: may be None if no metric needs features.
    num_fakes: samples per evaluation; None takes as many as there are real images, at most 10,000 (mixtures: 2,500;
    stacked digits: 26,000), and at most as many as the producer has.
    split: of the real data. batch_size: samples per process and forward pass.
    seed: of the evaluation's latents. raw: trained weights instead of their moving average. Both must be followed by
    the code that makes the samples.
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
        self.samples = "raw samples" if raw else "EMA samples"  # their name in the protocol
        self.reals = f"{split} images"
        self.producer: Producer | None = None  # set by attach()
        self.generator: nn.Module | None = None
        self.discriminator: nn.Module | None = None
        self.statistics: Statistics | None = None  # set by compare_with()
        self.given = False  # whether samples are given images, without seed and split
        self.advance: Advance | None = None  # gets the progress; None: a progress bar if there is a terminal
        self.floor: dict[str, float] = {}  # scores of held-out real images, after the first evaluation
        self.baseline: dict[str, float] = {}  # scores of the producer's trivial baseline, after the first evaluation
        self.device: torch.device | None = None  # set by prepare()
        self._num_fakes = num_fakes
        self._remarks: tuple[str, ...] = ()
        self._reference: Reference | KnownReference | None = None

    def attach(self, maker: Producer | nn.Module | None, discriminator: nn.Module | None = None) -> None:
        """Set what will be measured, before `check`: a producer, or the generator if samples come from elsewhere.

        The networks are for metrics that measure the generator itself.
        """
        self.producer = maker if isinstance(maker, Producer) else None
        self.generator = maker.network if isinstance(maker, Producer) else maker
        self.discriminator = discriminator
        if self.producer is not None and not self.given and not self.producer.averaged:
            self.samples = "raw samples"
        most = self.producer.count if self.producer is not None else None
        if self._num_fakes is not None and most is not None and self._num_fakes > most:
            raise UserError(
                f"evaluation.num_fakes={self._num_fakes} is more than the {most} samples that there are: give at most "
                "so many, or null for all."
            )

    def compare_with(self, statistics: Statistics) -> None:
        """Take precomputed statistics in the place of the data's images, before `check`; only the FID can."""
        self.statistics, self.reals = statistics, f"images of {statistics.path.name}"

    @property
    def metrics(self) -> dict[str, MetricFactory]:
        """The metrics by name; after `check` without a preset's metrics that cannot be measured here."""
        return self.selection.metrics

    @property
    def left_out(self) -> dict[str, str]:
        """Metrics of a preset that cannot be measured here, and why; known after `check`."""
        return self.selection.left_out

    @property
    def num_reals(self) -> int:
        """Number of real images of the split; 0 if statistics stand for them that do not say it."""
        if self.statistics is not None:
            return self.statistics.count
        return len(self.data.reference(self.split))

    @property
    def num_fakes(self) -> int:
        """Number of samples of one evaluation."""
        if self._num_fakes is not None:
            return self._num_fakes
        points = len(self.data.image_shape) == 1
        wanted = getattr(self.data, "num_fakes", None)  # of a data set with its own protocol
        wanted = wanted or (MIXTURE_FAKES if points else min(self.num_reals or MOST_FAKES, MOST_FAKES))
        most = self.producer.count if self.producer is not None else None
        return wanted if most is None else min(wanted, most)

    @property
    def terms(self) -> Protocol:
        """What the scores compare."""
        shown, known = self.selection.extractor, self.statistics
        return Protocol(
            num_fakes=self.num_fakes,
            num_reals=self.num_reals,
            split="" if known or (self.given and not hasattr(self.data, "splits")) else self.split,
            samples=self.samples,
            reals=self.reals,
            raw=self.raw,
            seed=None if self.given else self.seed,
            extractor=shown.name if shown else "",
            resize=shown.resize if shown else "",
            suffix=(known.suffix(shown) if known else shown.suffix) if shown else "",
            modes=self.selection.modes(self.data),
            pairs=self.selection.only_pairs,
            remarks=self._remarks,
        )

    @property
    def protocol(self) -> str:
        """What the scores compare, in one line."""
        return str(self.terms)

    @property
    def floor_protocol(self) -> str:
        """What the floor compares, such as "898 train images vs the other 899"."""
        held_out = held_out_count(self.num_reals, self.num_fakes)
        return f"{held_out:,} {self.reals} vs the other {self.num_reals - held_out:,}"

    @property
    def setting(self) -> Setting:
        """The Setting from which metrics are built."""
        counts = (self.num_reals, self.num_fakes)
        fields = tuple(self.producer.fields) if self.producer is not None else ("images",)
        setting = setting_of(self.data, self.extractor, self.generator, self.discriminator, counts, fields)
        return replace(setting, statistics=self.statistics.path.name if self.statistics else "")

    def check(self) -> None:
        """Raise a UserError for metrics that cannot be measured, before training; download the extractor's weights.

        A preset's metrics are left out instead, and the reason is printed.
        """
        self.selection.check(self.setting, self.data, self.split)

    def prepare(self, device: torch.device | str = "cpu") -> None:
        """Prepare the extractor on `device`, and train a classifier if needed; all processes call this together."""
        self.selection.leave_out(from_rank_zero(lambda: self.selection.check(self.setting, self.data, self.split)))
        self._remarks = self.selection.remarks(self.setting)
        if extractor := self.selection.extractor:
            extractor.prepare(self.data, device)
            if self.statistics is not None:
                self.statistics.check(extractor)
        if self.device is None and rank() == 0:
            for doubt in [*self.selection.doubts(self.setting), *circular(self.discriminator, extractor)]:
                warnings.warn(doubt, stacklevel=2)
        self.device = torch.device(device)

    @torch.no_grad()
    def evaluate(
        self, producer: Producer | Callable[..., Tensor], folder: Path | None = None, images_seen: int = 0
    ) -> dict[str, float]:
        """Return the scores by their full names; NaN scores are left out.

        producer: makes the samples. Or a function (start, stop) -> samples with these global indices: uint8 or float in
        [-1, 1] `(n, C, H, W)`, or points `(n, 2)`; if metrics need classes, (start, stop, labels `(n,)`) -> samples of
        these classes. The scores of its trivial baseline are in `baseline`, those of real images in `floor`.
        folder: where metrics may write pictures. All processes call this together; each makes its share of samples, and
            all get rank zero's scores.
        """
        if not self.metrics:
            return {}
        if not isinstance(producer, Producer):
            producer = Made(producer, self.data.image_shape)
        elif self.producer is None and self.generator is None:
            self.attach(producer, self.discriminator)
        if self.device is None:
            self.prepare()
        with bar(self.advance) as advance:
            if self._reference is None:
                self._reference = self._known_reals(advance)
                rival = producer.baseline()
                self.baseline = self._measure(rival, advance, None) if rival is not None else {}
            return self._measure(producer, advance, self._subject(producer, folder, images_seen))

    def _known_reals(self, advance: Advance) -> Reference | KnownReference:
        compared, extractor, device = self.selection.compared, self.selection.extractor, self.device
        assert device is not None
        if self.statistics is not None:
            self.floor = {}
            return KnownReference(self.statistics, compared, device)
        reference = Reference(
            compared, self.setting, self.data, self.split, extractor, self.batch_size, device, advance
        )
        reference.prepare()
        self.floor = from_rank_zero(lambda: self.terms.all_names(self.metrics, reference.floors))
        return reference

    def _measure(self, producer: Producer, advance: Advance, subject: Subject | None) -> dict[str, float]:
        """Return the scores of `producer`'s samples; without a subject only of metrics that compare samples."""
        built = self.selection.built(self.setting) if rank() == 0 else {}
        metrics = {name: m for name, m in built.items() if subject is not None or isinstance(m, SampleMetric)}
        assert self._reference is not None
        for name in self._reference.metrics if rank() == 0 else ():
            self._reference.load(metrics[name], name)  # type: ignore[arg-type]
        states = self._show_samples(producer, metrics, advance)
        return from_rank_zero(
            lambda: finite(self.terms.all_names(self.metrics, measured(metrics, states, subject, self.setting)))
        )

    def _show_samples(self, producer: Producer, metrics: Mapping[str, AnyMetric], advance: Advance) -> Tensor:
        """Pass samples to the metrics; return the number of samples in each state, on rank zero."""
        wanted = self.selection.consumed
        assert self.device is not None
        maker = RowMaker(wanted, self.data, self.extractor, self.device, producer.fields)
        classes: Any = getattr(self.generator, "num_classes", 0) if "labels" in wanted else 0
        found = sample_blocks(producer, maker, self.num_fakes, self.batch_size, self.seed, classes)
        takers = [metric for metric in metrics.values() if isinstance(metric, SampleMetric)]
        return show(found if wanted else iter(()), takers, self.num_fakes, advance)

    def _subject(self, producer: Producer, folder: Path | None, images_seen: int) -> Subject:
        return Subject(
            sample=Watched(producer),
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


def circular(discriminator: nn.Module | None, extractor: Extractor | None) -> list[str]:
    """Return a sentence if the discriminator judges by the very features on which samples are measured."""
    name = getattr(getattr(discriminator, "backbone", None), "judges_by", "")
    if extractor is None or not name or name != extractor.name:
        return []
    return [
        f"The discriminator judges by the features of extractor={name}, on which these scores are measured too, so "
        "they flatter the samples: compare with other models by extractor=inception, dinov2, swav or classifier."
    ]


def _at_least(least: int, name: str, value: int | None) -> None:
    if value is not None and value < least:
        raise UserError(f"evaluation.{name}={value} is too small: give at least {least}.")
