"""Discriminator rejection sampling: the discriminator's density ratio decides which samples are kept."""

from __future__ import annotations

import torch
from torch import Tensor

NEAREST = 1e-6  # how close to the ceiling a logit counts, so that the log-odds stay finite


class Rejection:
    """Accepts a sample with probability exp(logit - ceiling): p / (M q) where D is optimal for the logistic loss.

    Azadi et al. 2018, arXiv 1810.06758. The ceiling log M is the largest logit of `logits` `(N,)`, those of a burn-in.

    percentile: accepts more, by sigmoid(F - gamma) with the paper's log-odds F and gamma their percentile in the
        burn-in; None for gamma 0, the exact law.
    """

    def __init__(self, logits: Tensor, percentile: float | None = None) -> None:
        self.ceiling = logits.max()
        self.gamma = logits.new_zeros(())
        if percentile is not None:
            self.gamma = self._log_odds(logits).quantile(percentile / 100)

    def probability(self, logits: Tensor) -> Tensor:
        """Return the probabilities `(N,)` to accept samples of these logits."""
        return torch.sigmoid(self._log_odds(logits) - self.gamma)

    def _log_odds(self, logits: Tensor) -> Tensor:
        below = (logits - self.ceiling).clamp(max=-NEAREST)
        return below - torch.log(-torch.expm1(below))
