"""A weak penalty that keeps the critic's scores near zero."""

from __future__ import annotations

from torch import Tensor

from gan_lightning.contracts import DuelStep
from gan_lightning.regularizers.base import Regularizer


class Drift(Regularizer):
    """weight * E D(x)^2 on real images, since a constant added to a critic's scores does not change its loss.

    Karras et al. 2017, arXiv 1710.10196.
    """

    def __init__(self, weight: float = 0.001, every: int = 1) -> None:
        super().__init__(weight, every)

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the mean squared logit of the real images."""
        return step.real_logits.square().mean()
