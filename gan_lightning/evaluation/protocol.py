"""The protocol of scores, as text and in their names; without it numbers do not compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gan_lightning.metrics.base import MetricClass, MetricFactory, metric_class
from gan_lightning.scores import LOWER_IS_BETTER, Name, kind, mean_of, short_count, spread_of


@dataclass(frozen=True)
class Protocol:
    """Everything that a score depends on besides the generator and the data.

    num_reals: 0 if it is not known. samples, reals: their names in the text.
    split: of the real data, "" without real data.
    raw: whether the trained weights are used instead of their average. seed: of the latents, None for given images.
    extractor: its name, "" for none. resize: how it resizes images. suffix: its suffix on names.
    modes: number of modes of a mixture or of stacked digits that samples are compared with, instead of images.
    pairs: whether each sample is compared only with its own target. remarks: of single metrics.
    """

    num_fakes: int
    num_reals: int
    split: str = "train"
    samples: str = "EMA samples"
    reals: str = "train images"
    raw: bool = False
    seed: int | None = 0
    extractor: str = ""
    resize: str = ""
    suffix: str = ""
    modes: int = 0
    pairs: bool = False
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return one line, such as "10,000 EMA samples (seed 0) vs 50,000 train images, inception features"."""
        seed = "" if self.seed is None else f" (seed {self.seed})"
        samples = f"{self.num_fakes:,} {self.samples}{seed}"
        if self.modes:
            return f"{samples} vs {self.modes:,} modes"
        if self.pairs:
            return f"{samples} vs their targets"
        reals = f"{self.num_reals:,} {self.reals}" if self.num_reals else self.reals
        text = ", ".join([f"{samples} vs {reals}", *self.remarks])
        if not self.extractor:
            return text
        unverified = "unverified " if "unverified" in self.suffix else ""
        resized = f" ({self.resize})" if self.resize else ""
        return f"{text}, {unverified}{self.extractor} features{resized}"

    def all_names(
        self, metrics: Mapping[str, MetricFactory], values: Mapping[str, Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the values of several metrics by their full names, in the order of the metrics."""
        named = [self.names(metric_class(metrics[name]), values[name]) for name in metrics if name in values]
        return {name: value for scores in named for name, value in scores.items()}

    def names(self, metric: MetricClass, values: Mapping[str, float]) -> dict[str, float]:
        """Return a metric's values under their full names; `values` has the metric's own names."""
        return {self.name(metric, name): value for name, value in values.items()}

    def name(self, metric: MetricClass, base: str) -> str:
        """Return the full name of one of the metric's scores: "kid_std" becomes "kid10k_train_std[classifier]"."""
        spread = base.endswith("_std")
        return str(
            Name(
                kind=base.removesuffix("_std"),
                samples=short_count(self.num_fakes) if metric.protocol else "",
                split=self.split if metric.protocol == "split" else "",
                raw=self.raw,
                spread=spread,
                suffix=self.suffix if metric.marked else "",
            )
        )

    def plain(self) -> dict[str, Any]:
        """Return the protocol as a plain dict."""
        return asdict(self)


def describe(
    scores: Mapping[str, float],
    floor: Mapping[str, float] | None = None,
    baseline: Mapping[str, float] | None = None,
) -> str:
    """Return the scores in one line: "fid10k_train 3.41 (floor 1.04) · is10k 8.93 ± 0.11 (real 9.39)".

    floor: scores of held-out real images, baseline: those of a trivial baseline; added if given.
    """
    stated = [name for name in scores if mean_of(name) not in scores]
    return " · ".join(_one(name, scores, floor or {}, baseline or {}) for name in stated) or "no scores"


def number(value: float) -> str:
    """Return four significant digits, without an exponent for values that are 0 up to rounding."""
    return f"{0.0 if abs(value) < 1e-8 else value:.4g}"


def _one(name: str, scores: Mapping[str, float], floor: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    spread = scores.get(spread_of(name) or "")
    text = f"{name} {number(scores[name])}" + (f" ± {spread:.2g}" if spread is not None else "")
    word = "floor" if LOWER_IS_BETTER.get(kind(name) or "", False) else "real"
    beside = [
        f"{word} {number(known[name])}" for word, known in ((word, floor), ("baseline", baseline)) if name in known
    ]
    return text + (f" ({', '.join(beside)})" if beside else "")
