"""Inception score: torchmetrics' class with a `compute` that is deterministic and agrees with torch-fidelity."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
import torchmetrics.image.inception as library
from torch import Tensor, nn
from torchmetrics.utilities import dim_zero_cat

from gan_lightning.metrics.base import LOCAL, SampleMetric, Setting


class InceptionScore(library.InceptionScore, SampleMetric):
    """exp E KL(p(y|x) || p(y)), mean and population std over `splits` parts (Salimans et al. 2016, arXiv 1606.03498).

    torchmetrics shuffles with the global random state and sums in float32. Here the order is torch-fidelity's (a fixed
    seed), the sums are float64, and the random numbers of training do not change. The score of a part is at most its
    number of samples, so each part has at least two: with few samples there are fewer parts, which the protocol tells.
    Takes logits `(N, K)`.
    """

    consumes: ClassVar[tuple[str, ...]] = ("logits",)
    names: ClassVar[tuple[str, ...]] = ("is", "is_std")
    protocol: ClassVar[str] = "count"
    shuffle_seed: ClassVar[int] = 2020  # torch-fidelity's

    def __init__(self, setting: Setting, splits: int = 10) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "will save all extracted features in buffer": 80 MB for 10,000 samples
            super().__init__(feature=nn.Identity(), splits=splits, **LOCAL)
        self.num_samples = setting.num_fakes

    def update(self, imgs: Tensor, real: bool = False) -> None:
        """Take logits `(N, K)`; those of real images are ignored."""
        if not real:
            super().update(imgs)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the score."""
        logits = dim_zero_cat(self.features).double()
        order = np.random.RandomState(self.shuffle_seed).permutation(len(logits))
        logits = logits[torch.from_numpy(order).to(logits.device)]
        splits = possible(self.splits, len(logits))
        bounds = [part * len(logits) // splits for part in range(splits + 1)]
        scores = torch.stack([_score(logits[low:high]) for low, high in pairwise(bounds)])
        return scores.mean(), scores.std(correction=0)

    def doubts(self) -> list[str]:
        """Return a sentence if there are fewer splits than asked for."""
        count, splits = self.num_samples, possible(self.splits, self.num_samples)
        if not count or splits == self.splits:
            return []
        return [
            f"is takes {splits} splits instead of metrics.is.splits={self.splits}, as there are {count:,} samples and "
            "a split of n samples scores at most n: compare the value with none that was measured otherwise."
        ]

    def remark(self) -> str:
        """Return the number of splits if there are fewer than asked for."""
        splits = possible(self.splits, self.num_samples)
        return "" if not self.num_samples or splits == self.splits else f"is over {splits} splits"


def possible(splits: int, samples: int) -> int:
    """Return the number of parts, at most `splits`, that have two samples each at least."""
    return max(1, min(splits, samples // 2))


def _score(logits: Tensor) -> Tensor:
    log_conditional = logits.log_softmax(dim=1)
    conditional = log_conditional.exp()
    # A class without samples contributes 0: 0 * (log 0 - log 0) must not become NaN.
    marginal = conditional.mean(dim=0, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)
    return (conditional * (log_conditional - marginal.log())).sum(dim=1).mean().exp()
