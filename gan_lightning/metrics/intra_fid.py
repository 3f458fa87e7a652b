"""Frechet distance class by class; unlike FID it detects samples of a wrong class and missing variety in a class."""

from __future__ import annotations

import math
import warnings
from typing import ClassVar

import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting
from gan_lightning.metrics.frechet import distance_of_rows, factor
from gan_lightning.metrics.rows import RowsMetric


class IntraFID(RowsMetric):
    """Mean over classes of the Frechet distance between samples and real images of a class (Miyato & Koyama 2018).

    arXiv 1802.05637. Every class has the same weight. The bias of each distance depends on the number of images of its
    class, so values at different numbers of images do not compare. Takes features `(N, F)` and labels `(N,)` of both;
    float64.
    """

    consumes: ClassVar[tuple[str, ...]] = ("features", "labels")
    keeps: ClassVar[tuple[str, ...]] = ("features", "labels")
    names: ClassVar[tuple[str, ...]] = ("intra_fid",)

    real_ranks: Tensor  # (K,) columns of each class's factor in real_factors; 0 where the real rows are used instead
    real_factors: Tensor  # (F, sum of real_ranks): never more numbers than there are real features

    def __init__(self, setting: Setting) -> None:
        _check(setting)
        super().__init__()
        self.setting = setting
        self.add_state("real_ranks", torch.zeros(0, dtype=torch.long), dist_reduce_fx=None)
        self.add_state("real_factors", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)

    def finish_real(self) -> None:
        """Factor the covariances of the classes with more images than features."""
        rows, labels = self.reals(), self.reals("labels")
        factors = [_large_factor(rows[labels == label].double()) for label in range(self.setting.labels)]
        self.real_ranks = torch.tensor([each.shape[1] for each in factors])
        self.real_factors = torch.cat(factors, dim=1).cpu()

    def compute(self) -> Tensor:
        """Return the mean distance; NaN, with a warning, if a class has fewer than two samples or real images."""
        rows = [(self.fakes(), self.fakes("labels")), (self.reals(), self.reals("labels"))]
        factors = self.real_factors.split(self.real_ranks.tolist(), dim=1)
        distances = []
        for label, known in enumerate(factors):
            fakes, reals = (features[labels == label].double() for features, labels in rows)
            if min(len(fakes), len(reals)) < 2:
                self._warn(label, len(fakes), len(reals))
                return torch.tensor(math.nan)
            real_factor = known.to(reals.device) if known.shape[1] else _centred(reals).T
            distances.append(distance_of_rows(reals.mean(dim=0), real_factor, fakes))
        return torch.stack(distances).mean()

    def doubts(self) -> list[str]:
        """Return a sentence if there are fewer images of a class than features."""
        few = {"samples": self.setting.num_fakes, "real images": self.setting.num_reals}
        return [
            f"intra_fid fits covariances of {self.setting.feature_dim:,} features to about "
            f"{count // self.setting.labels:,} {what} of a class, which are too few: compare the value with none that "
            "was measured on another number of them."
            for what, count in few.items()
            if 0 < count <= self.setting.feature_dim * self.setting.labels
        ]

    def _warn(self, label: int, fakes: int, reals: int) -> None:
        names = self.setting.class_names
        warnings.warn(
            f"intra_fid takes at least 2 samples and 2 real images of each class, and class "
            f"{names[label] if names else label} has {fakes} and {reals}, so there is no such score: raise "
            "evaluation.num_fakes, or use metrics=[fid].",
            stacklevel=3,
        )


def _check(setting: Setting) -> None:
    compares = "metrics=[intra_fid] compares class by class, and"
    if not setting.labels:
        raise UserError(f"{compares} data={setting.data} is unlabelled: use metrics=[fid].")
    if not setting.fakes_labelled:
        raise UserError(
            f"{compares} the samples have no classes: train with labels (conditioning=...), or use metrics=[fid]."
        )
    for what, count in {"samples": setting.num_fakes, "real images": setting.num_reals}.items():
        if 0 < count < 2 * setting.labels:
            raise UserError(
                f"{compares} {count} {what} are fewer than 2 for each of the {setting.labels} classes: give more, or "
                "use metrics=[fid]."
            )


def _large_factor(rows: Tensor) -> Tensor:
    """Return the factor of the rows' covariance; without columns if the centred rows are not larger."""
    if len(rows) <= rows.shape[1]:
        return rows.new_zeros(rows.shape[1], 0)
    centred = _centred(rows)
    return factor(centred.T @ centred)


def _centred(rows: Tensor) -> Tensor:
    """Return centred rows X with X^T X = covariance."""
    return (rows - rows.mean(dim=0)) / math.sqrt(len(rows) - 1)
