"""Adversarial losses, and how the generator uses them."""

from gan_lightning.losses.adversarial import (
    AdversarialLoss,
    DualContrastive,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    RelativisticAverageHinge,
    RelativisticAverageLeastSquares,
    SeparableLoss,
    Wasserstein,
)
from gan_lightning.losses.generator import GeneratorLoss

__all__ = [
    "AdversarialLoss", "DualContrastive", "GeneratorLoss", "Hinge", "LeastSquares", "Minimax", "NonSaturating",
    "Relativistic", "RelativisticAverage", "RelativisticAverageHinge", "RelativisticAverageLeastSquares",
    "SeparableLoss", "Wasserstein",
]  # fmt: skip
