"""Regularisers: penalties that join a loss, and constraints applied after a step."""

from gan_lightning.regularizers.base import Constraint, Regularizer
from gan_lightning.regularizers.consistency import (
    BalancedConsistency,
    Consistency,
    LatentConsistency,
    LatentDiversity,
)
from gan_lightning.regularizers.constraints import WeightClipping
from gan_lightning.regularizers.drift import Drift
from gan_lightning.regularizers.lecam import LeCam
from gan_lightning.regularizers.orthogonal import Orthogonal
from gan_lightning.regularizers.path_length import PathLength
from gan_lightning.regularizers.penalties import (
    DRAGAN,
    R1,
    R2,
    GradientPenalty,
    MaxGradientPenalty,
    OneSidedGradientPenalty,
)
from gan_lightning.regularizers.reconstruction import Reconstruction

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "BalancedConsistency",
    "Consistency",
    "Constraint",
    "Drift",
    "GradientPenalty",
    "LatentConsistency",
    "LatentDiversity",
    "LeCam",
    "MaxGradientPenalty",
    "OneSidedGradientPenalty",
    "Orthogonal",
    "PathLength",
    "Reconstruction",
    "Regularizer",
    "WeightClipping",
]
