"""Kernel inception distance; an own class, since that of torchmetrics draws from the global random state."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gan_lightning.errors import UserError, check_range
from gan_lightning.metrics.base import Setting
from gan_lightning.metrics.distances import full_precision
from gan_lightning.metrics.rows import RowsMetric


class KID(RowsMetric):
    """Unbiased squared MMD with the kernel (x.y / F + 1)^3 (Binkowski et al. 2018, arXiv 1801.01401).

    Mean and population standard deviation over `subsets` random subsets of `subset_size` samples and as many real
    images, drawn in torch-fidelity's order (a fixed seed). If there are fewer samples or real images than
    `subset_size`, a subset is as large as the smaller set. The mean is unbiased at any size; the standard deviation
    depends on the size. Slightly negative values are correct if the distributions hardly differ.
    Takes features `(N, F)`.
    """

    names: ClassVar[tuple[str, ...]] = ("kid", "kid_std")
    draw_seed: ClassVar[int] = 2020  # torch-fidelity's

    def __init__(self, setting: Setting, subsets: int = 100, subset_size: int = 1000) -> None:
        check_range("metrics.kid", 1, subsets=subsets)
        check_range("metrics.kid", 2, subset_size=subset_size)
        if 1 in (setting.num_reals, setting.num_fakes):
            raise UserError(
                f"metrics=[kid] compares pairs, and there are {setting.num_fakes} samples and {setting.num_reals} real "
                "images: it takes at least 2 of each."
            )
        super().__init__()
        self.setting, self.subsets, self.subset_size = setting, subsets, subset_size

    def doubts(self) -> list[str]:
        """Return a sentence if subsets are smaller than requested, or if there is only one."""
        size, most = sorted((self.setting.num_fakes, self.setting.num_reals))
        if size == most == self.subset_size:
            return [f"kid takes one subset, of all {size:,} samples and real images, so its spread is 0."]
        if not 0 < size < self.subset_size:
            return []
        return [
            f"kid takes subsets of {size:,} instead of {self.subset_size:,}, as there are {self.setting.num_fakes:,} "
            f"samples and {self.setting.num_reals:,} real images: its mean stays unbiased, its spread is "
            + ("another one." if size < most else "0, of one subset.")
        ]

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation over the subsets."""
        fakes, reals = self.fakes(), self.reals()
        size = min(self.subset_size, len(fakes), len(reals))
        # If a subset is the whole set, all subsets are the same.
        subsets = self.subsets if size < max(len(fakes), len(reals)) else 1
        stream = np.random.RandomState(self.draw_seed)
        distances = []
        for _ in range(subsets):
            chosen = (stream.choice(len(rows), size, replace=False) for rows in (fakes, reals))
            fake, real = (torch.from_numpy(rows).to(fakes.device) for rows in chosen)
            distances.append(squared_mmd(fakes[fake], reals[real]))
        values = torch.stack(distances)
        return values.mean(), values.std(correction=0)


def squared_mmd(fakes: Tensor, reals: Tensor) -> Tensor:
    """Return the unbiased estimate, float64, from equally many samples `(n, F)` and real images `(n, F)`."""
    return (
        _mean_of_pairs(_kernel(fakes, fakes)) + _mean_of_pairs(_kernel(reals, reals)) - 2 * _kernel(fakes, reals).mean()
    )


def _kernel(one: Tensor, other: Tensor) -> Tensor:
    with full_precision():  # rounding errors of float32 products cancel in the means, which are float64
        return ((one @ other.T).double() / one.shape[1] + 1) ** 3


def _mean_of_pairs(kernel: Tensor) -> Tensor:
    """Return the mean `()` of the off-diagonal elements of `(n, n)`."""
    return (kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))
