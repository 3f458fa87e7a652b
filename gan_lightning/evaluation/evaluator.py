"""Scores generated samples against a data set: one extractor pass for all metrics, real statistics from a cache."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.evaluation import reals
from gan_lightning.evaluation.blocks import Rows, blocks, not_finite, shares, update
from gan_lightning.inference.images import to_uint8
from gan_lightning.metrics.base import (
    Extractor,
    MetricFactory,
    SampleMetric,
    Setting,
    metric_class,
    named_values,
    real_state,
    set_state,
)
from gan_lightning.metrics.collective import from_rank_zero, rank

Sampler = Callable[[int, int], Tensor]

MOST_FAKES = 10_000
MIXTURE_FAKES = 2_500  # the protocol of VEEGAN and PacGAN


class Evaluator:
    """Measures samples of a generator; it stands beside the module, so no extractor gets into a checkpoint.

    metrics: name -> a metric's class (or a partial with options), built from a `metrics.base.Setting`.
    data: a data module: `name`, `reference(split)`, `fingerprint(split)`, `image_shape`, `num_classes`, and for a
    mixture `modes()` and `std`. extractor: None will do if no metric needs features.
    num_fakes: samples per evaluation; None takes as many as there are real images, at most 10,000 (mixtures: 2,500).
    split: of the data that samples are compared with. batch_size: samples per process and forward pass.
    seed: stream of the evaluation's latents; raw: trained weights instead of their moving average. Both are for whoever
    brings the samples.
    """

    def __init__(
        self,
        metrics: Mapping[str, MetricFactory],
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
        self.metrics, self.data, self.extractor = dict(metrics), data, extractor
        self.split, self.batch_size, self.seed, self.raw = split, batch_size, seed, raw
        self.samples = "raw samples" if raw else "EMA samples"  # what the protocol calls them, and:
        self.reals = f"{split} images"
        self.floor: dict[str, float] = {}  # scores of held-out real images, from the first evaluation on
        self.device: torch.device | None = None  # set by prepare()
        self._num_fakes = num_fakes
        self._statistics: dict[str, reals.Statistics] | None = None

    @property
    def num_reals(self) -> int:
        """Number of real images of the split."""
        return len(self.data.reference(self.split))

    @property
    def num_fakes(self) -> int:
        """Number of samples of one evaluation."""
        if self._num_fakes is not None:
            return self._num_fakes
        return MIXTURE_FAKES if self._points else min(self.num_reals, MOST_FAKES)

    @property
    def protocol(self) -> str:
        """What the scores compare, such as "1,797 EMA samples vs 1,797 train images, classifier features"."""
        if self._points:
            return f"{self.num_fakes:,} {self.samples} vs {len(self.data.modes())} modes"
        text = f"{self.num_fakes:,} {self.samples} vs {self.num_reals:,} {self.reals}"
        if self.extractor is None:
            return text
        unverified = "unverified " if "unverified" in self.extractor.suffix else ""
        return f"{text}, {unverified}{self.extractor.name} features"

    @property
    def floor_protocol(self) -> str:
        """What the floor compares, such as "898 train images vs the other 899"."""
        held_out = reals.held_out_count(self.num_reals, self.num_fakes)
        return f"{held_out:,} {self.reals} vs the other {self.num_reals - held_out:,}"

    def check(self) -> None:
        """Raise a UserError for what cannot be measured, before training; download an extractor's weights."""
        if self._uses_features:
            self._check_images()
        for name in self.metrics:
            self._build(name)

    def prepare(self, device: torch.device | str = "cpu") -> None:
        """Make the extractor ready on `device`, training a classifier if need be; all processes call this together."""
        from_rank_zero(self.check)
        if self._uses_features:
            self._features.prepare(self.data, device)
        self.device = torch.device(device)

    @torch.no_grad()
    def evaluate(self, sample: Sampler) -> dict[str, float]:
        """Return the scores by name with the extractor's suffix; a score that is not a number is left out.

        sample: (start, stop) -> the samples with these global indices: uint8 or float in [-1, 1] `(n, C, H, W)`, or
        points `(n, 2)`. All processes call this together; each brings its share, and all get rank zero's scores.
        """
        if not self.metrics:
            return {}
        if self.device is None:
            self.prepare()
        if self._statistics is None:
            self._statistics = self._real_statistics()
        metrics, broken = self._loaded(self._statistics), torch.zeros((), dtype=torch.long)
        for _, rows in self._blocks(self.num_fakes, lambda share: self._rows(sample(share.start, share.stop))):
            if rank() == 0:
                update(metrics, rows, real=False)
                broken = broken.to(self.device) + not_finite(rows).to(self.device)
        return from_rank_zero(lambda: self._finish(metrics, int(broken)))

    def _finish(self, metrics: dict[str, SampleMetric], broken: int) -> dict[str, float]:
        if broken:
            warnings.warn(
                f"{broken:,} of {self.num_fakes:,} samples are not finite (NaN or infinity), so this evaluation has "
                "no scores: training has diverged; try a lower learning rate or trainer.precision=32-true.",
                stacklevel=2,
            )
            return {}
        scores = self._full_names({name: named_values(metric) for name, metric in metrics.items()})
        for name in [name for name, value in scores.items() if not math.isfinite(value)]:
            warnings.warn(f"{name} came out as {scores.pop(name)}, which is no score: it is left out.", stacklevel=2)
        return scores

    def _refuse(self, broken: int) -> None:
        if broken:
            raise UserError(
                f"The {self._features.name} features of {broken:,} of {self.num_reals:,} real images are not finite: "
                "its weights are damaged; give others by extractor.weights=PATH, or use metrics=[]."
            )

    def _full_names(self, values: dict[str, dict[str, float]]) -> dict[str, float]:
        """Return the scores of all metrics in one dict, those of features with the extractor's suffix."""
        return {
            name if not metric_class(self.metrics[metric]).marked else name + self._features.suffix: value
            for metric, scores in values.items()
            for name, value in scores.items()
        }

    def _loaded(self, known: dict[str, reals.Statistics]) -> dict[str, SampleMetric]:
        """Return fresh metrics that know the real data; rank zero alone computes, the others have none."""
        metrics = {name: self._build(name) for name in self.metrics} if rank() == 0 else {}
        for name, statistics in known.items():
            set_state(metrics[name], statistics.state)
        return metrics

    def _real_statistics(self) -> dict[str, reals.Statistics]:
        """Return the statistics of the real data on rank zero, {} elsewhere; what the cache lacks is measured now."""
        compared = [name for name, metric in self.metrics.items() if "points" not in metric_class(metric).consumes]
        paths = {name: self._cache_path(name) for name in compared if rank() == 0}
        cached = {name: reals.load(path) for name, path in paths.items()}
        found = {name: statistics for name, statistics in cached.items() if statistics is not None}
        missing = from_rank_zero(lambda: [name for name in compared if name not in found])
        for name, statistics in (self._measure(missing) if missing else {}).items():
            found[name] = statistics
            statistics.save(paths[name])
        self.floor = from_rank_zero(lambda: self._full_names({name: one.floor for name, one in found.items()}))
        return found

    def _measure(self, names: list[str]) -> dict[str, reals.Statistics]:
        """Extract all real images once, in their order; return statistics on rank zero, {} elsewhere."""
        if rank() == 0:
            print(f"Measuring {self.num_reals:,} {self.reals} for {', '.join(names)}, once for all runs.", flush=True)
        held_out = reals.held_out_count(self.num_reals, self.num_fakes)
        mask = reals.held_out_mask(self.num_reals, held_out)
        images = reals.batches(self.data, self.split, [share for _, share in shares(self.num_reals, self.batch_size)])
        broken = torch.zeros((), dtype=torch.long)
        whole, floor = ({name: self._build(name) for name in names if rank() == 0} for _ in range(2))
        for start, rows in self._blocks(self.num_reals, lambda share: self._rows(next(images))):
            if rank() == 0:
                broken = broken.to(self.device) + not_finite(rows).to(self.device)
                update(whole, rows, real=True)
                chosen = mask[start : start + len(next(iter(rows.values())))]
                update(floor, {kind: values[~chosen.to(values.device)] for kind, values in rows.items()}, real=True)
                update(floor, {kind: values[chosen.to(values.device)] for kind, values in rows.items()}, real=False)
        from_rank_zero(lambda: self._refuse(int(broken)))
        floors = {name: named_values(metric) if held_out else {} for name, metric in floor.items()}
        return {name: reals.Statistics(real_state(metric), floors[name]) for name, metric in whole.items()}

    def _blocks(self, count: int, produce: Callable[[range], Rows]) -> Iterator[tuple[int, Rows]]:
        widths = {"points": sum(self.data.image_shape)} if self._points else {}
        if self._uses_features:
            widths = {"features": self._features.feature_dim, "logits": self._features.num_classes}
        empty = {kind: torch.zeros(0, width, device=self.device) for kind, width in widths.items()}
        return blocks(count, self.batch_size, empty, produce)

    def _rows(self, images: Tensor) -> Rows:
        """Return what metrics consume of samples or real images; a sample that is not finite has no finite row."""
        if self._points:
            return {"points": images.float()}
        if not images.is_floating_point():
            return self._features(images)
        bad = ~images.flatten(1).isfinite().all(dim=1, keepdim=True)
        rows = self._features(to_uint8(images.nan_to_num()))
        return {kind: values.masked_fill(bad.to(values.device), math.nan) for kind, values in rows.items()}

    @property
    def _points(self) -> bool:
        return len(self.data.image_shape) == 1

    @property
    def _features(self) -> Extractor:
        """The extractor, where metrics need one."""
        if self.extractor is None:
            raise UserError(
                f"metrics={_listed(self.metrics)} needs features: add extractor=inception or extractor=classifier."
            )
        return self.extractor

    @property
    def _uses_features(self) -> bool:
        return any("points" not in metric_class(metric).consumes for metric in self.metrics.values())

    def _build(self, name: str) -> SampleMetric:
        modes = self.data.modes() if self._points else None
        setting = Setting(
            feature_dim=getattr(self.extractor, "feature_dim", 0),
            num_classes=getattr(self.extractor, "num_classes", 0),
            modes=modes,
            std=getattr(self.data, "std", None),
        )
        return self.metrics[name](setting)

    def _cache_path(self, name: str) -> Path:
        held_out = reals.held_out_count(self.num_reals, self.num_fakes)
        data = self.data.fingerprint(self.split)
        return reals.cache_path(self.metrics[name], data, self._features.fingerprint, held_out)

    def _check_images(self) -> None:
        if self._points:
            raise UserError(
                f"metrics={_listed(self.metrics)} compares images, and data={self.data.name} holds points: use "
                "metrics=[modes]."
            )
        extractor = self._features
        if self.num_reals < 2:
            raise UserError(
                f"data={self.data.name} has {self.num_reals} image in its split '{self.split}', and scores need at "
                "least 2: add images, or use metrics=[]."
            )
        extractor.check(self.data)


def _listed(names: Iterable[str]) -> str:
    return f"[{','.join(names)}]"


def _at_least(least: int, name: str, value: int | None) -> None:
    if value is not None and value < least:
        raise UserError(f"evaluation.{name}={value} is too small: give at least {least}.")
