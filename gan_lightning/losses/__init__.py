"""Adversarial losses."""

from gan_lightning.losses.adversarial import (
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)

__all__ = [
    "AdversarialLoss", "Hinge", "LeastSquares", "Minimax", "NonSaturating", "Relativistic", "RelativisticAverage",
    "Wasserstein",
]  # fmt: skip
