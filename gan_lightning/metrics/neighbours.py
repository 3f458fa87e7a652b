"""Fidelity and diversity as two numbers, from nearest neighbours: precision, recall, density and coverage."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_lightning.errors import UserError, check_range
from gan_lightning.metrics.base import Setting
from gan_lightning.metrics.distances import blocks, squared_radii
from gan_lightning.metrics.rows import RowsMetric


class _Neighbours(RowsMetric):
    """Balls around real images whose radius is the distance to the k-th nearest other real image."""

    config: ClassVar[str]  # the key in `metrics`
    both: ClassVar[bool]  # whether there are balls around samples too
    real_radii: Tensor  # (N,) squared, float64

    def __init__(self, setting: Setting, k: int) -> None:
        check_range(f"metrics.{self.config}", 1, k=k)
        self.k = k
        self._check(setting)
        super().__init__()
        self.add_state("real_radii", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)

    def _check(self, setting: Setting) -> None:
        numbers = {"real images": setting.num_reals} | ({"samples": setting.num_fakes} if self.both else {})
        for things, count in numbers.items():
            if 0 < count <= self.k:
                raise UserError(
                    f"metrics.{self.config} looks for {self.k} neighbours of each of {count} {things}: it takes at "
                    f"least {self.k + 1}; give more, or lower metrics.{self.config}.k."
                )

    def finish_real(self) -> None:
        """Compute the radii of the balls around real images."""
        self.real_radii = squared_radii(self.reals(), self.k).cpu()


class PrecisionRecall(_Neighbours):
    """Improved precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991); both in [0, 1].

    Precision is the share of samples in the ball of a real image. Recall is the share of real images in the ball of a
    sample. The radius of a ball is the distance from its centre to the k-th nearest neighbour. A point on the surface
    is inside (distance <= radius), as in the authors' code and torch-fidelity. Values depend on the number of samples
    and of real images; compare only values at equal numbers. Takes features `(N, F)`.
    """

    names: ClassVar[tuple[str, ...]] = ("precision", "recall")
    config: ClassVar[str] = "precision_recall"
    both: ClassVar[bool] = True

    def __init__(self, setting: Setting, k: int = 3) -> None:
        super().__init__(setting, k)
        self.numbers = setting.num_fakes, setting.num_reals

    def doubts(self) -> list[str]:
        """Return a sentence if the numbers of samples and of real images differ."""
        fakes, reals = self.numbers
        if fakes == reals:
            return []
        return [
            f"precision and recall compare {fakes:,} samples with {reals:,} real images: the balls of the smaller set "
            "are the larger ones, so hold them against values at the same numbers only; published ones take equal "
            "numbers (evaluation.num_fakes)."
        ]

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return precision and recall; NaN if there are too few samples or real images for k neighbours."""
        fakes, reals = self.fakes(), self.reals()
        fake_radii, real_radii = squared_radii(fakes, self.k), self.real_radii.to(reals.device)
        precise = torch.zeros(len(fakes), dtype=torch.bool, device=fakes.device)
        recalled = torch.zeros(len(reals), dtype=torch.bool, device=fakes.device)
        for place, block in blocks(fakes, reals):
            precise[place] = block.within(real_radii, closed=True).any(dim=1)
            recalled |= block.within(fake_radii[place, None], closed=True).any(dim=0)
        known = fake_radii.sum() + real_radii.sum()  # NaN where there are no radii
        return precise.double().mean() + 0 * known, recalled.double().mean() + 0 * known


class DensityCoverage(_Neighbours):
    """Density in [0, inf) and coverage in [0, 1] (Naeem et al. 2020, arXiv 2002.09797).

    Density is the mean number of real images' balls that contain a sample, divided by k. Coverage is the share of balls
    that contain a sample. A point on the surface is outside (distance < radius), as in the authors' code, so that a set
    compared with itself has density 1. If samples have the distribution of the data, density is 1 and coverage is 1 -
    2^-k (0.969 at k = 5) for large sets. Takes features `(N, F)`.
    """

    names: ClassVar[tuple[str, ...]] = ("density", "coverage")
    config: ClassVar[str] = "density_coverage"
    both: ClassVar[bool] = False

    def __init__(self, setting: Setting, k: int = 5) -> None:
        super().__init__(setting, k)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return density and coverage; NaN if there are too few real images for k neighbours."""
        fakes, reals = self.fakes(), self.reals()
        real_radii = self.real_radii.to(reals.device)
        samples = torch.zeros(len(reals), dtype=torch.long, device=reals.device)  # number in each ball
        for _, block in blocks(fakes, reals):
            samples += block.within(real_radii, closed=False).sum(dim=0)
        known = real_radii.sum()
        return samples.sum().double() / (self.k * len(fakes)) + 0 * known, (samples > 0).double().mean() + 0 * known
