"""Frechet Inception distance of features that are already extracted."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import LOCAL, SampleMetric, Setting
from gan_lightning.metrics.frechet import Moments, distance, distance_of_rows, factor


class FID(SampleMetric):
    """Frechet distance between Gaussians fitted to real and generated features (Heusel et al. 2017, arXiv 1706.08500).

    The value is that of torchmetrics, computed faster: the real covariance is factored once and cached, no matrix
    square root is needed, and if there are fewer samples than features their rows are kept. Everything is float64.
    Takes features `(N, F)`.
    """

    consumes: ClassVar[tuple[str, ...]] = ("features",)
    names: ClassVar[tuple[str, ...]] = ("fid",)
    full_state_update = False

    real_count: Tensor
    real_mean: Tensor  # (F,)
    real_factor: Tensor  # (F, rank) after all real features are known, empty before
    scatter: Tensor  # (F, F) of the real features, empty at the start
    fake_rows: list[Tensor]  # while there are fewer rows than features; after that:
    fake_count: Tensor
    fake_mean: Tensor
    fake_scatter: Tensor

    def __init__(self, setting: Setting) -> None:
        super().__init__(**LOCAL)
        self.setting = setting
        nothing = torch.zeros(0, dtype=torch.float64)  # not F x F zeros: torchmetrics keeps a copy of each default
        for name in ("real_mean", "real_factor", "scatter", "fake_mean", "fake_scatter"):
            self.add_state(name, nothing, dist_reduce_fx=None)
        for name in ("real_count", "fake_count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx=None)
        self.add_state("fake_rows", [], dist_reduce_fx=None)

    def update(self, features: Tensor, real: bool) -> None:
        """Take features `(N, F)` of real images or of samples, in batches of any size."""
        features = features.double()
        if real:
            before = _started(Moments(self.real_count, self.real_mean, self.scatter), features)
            self.real_count, self.real_mean, self.scatter = before.add(features)
            return
        self.fake_rows.append(features)
        if self.fake_count or sum(map(len, self.fake_rows)) > features.shape[1]:
            before = _started(Moments(self.fake_count, self.fake_mean, self.fake_scatter), features)
            self.fake_count, self.fake_mean, self.fake_scatter = before.add(torch.cat(self.fake_rows))
            self.fake_rows = []

    def finish_real(self) -> None:
        """Factor the real covariance."""
        _at_least_two(self.real_count, "real images")
        self.real_factor = factor(self.scatter / (self.real_count - 1))

    def compute(self) -> Tensor:
        """Return the distance; 0 where it is within rounding error. Raises UserError for a single image."""
        if self.real_factor.dim() < 2:
            self.finish_real()
        rows = dim_zero_cat(self.fake_rows) if self.fake_rows else self.real_mean.new_zeros(0, len(self.real_mean))
        _at_least_two(self.fake_count + len(rows), "samples")
        if not self.fake_count:
            return distance_of_rows(self.real_mean, self.real_factor, rows)
        return distance(self.real_mean, self.real_factor, Moments(self.fake_count, self.fake_mean, self.fake_scatter))

    def doubts(self) -> list[str]:
        """Return a sentence if there are fewer images than features."""
        few = {"samples": self.setting.num_fakes, "real images": self.setting.num_reals}
        return [
            f"FID fits a covariance of {self.setting.feature_dim:,} features to {count:,} {what}, which are too few: "
            "compare the value with none that was measured on another number of them."
            for what, count in few.items()
            if 0 < count <= self.setting.feature_dim
        ]


def _started(moments: Moments, features: Tensor) -> Moments:
    """Return `moments` with room for these features."""
    if len(moments.mean):
        return moments
    width = features.shape[1]
    return Moments(moments.number, features.new_zeros(width), features.new_zeros(width, width))


def _at_least_two(count: Tensor, what: str) -> None:
    if count < 2:
        raise UserError(f"FID needs at least 2 {what}, and there are {int(count)}: give more.")
