"""Regularisers: penalties that join a loss, and constraints applied after a step."""

from gan_lightning.regularizers.base import Constraint, Regularizer
from gan_lightning.regularizers.constraints import WeightClipping
from gan_lightning.regularizers.drift import Drift
from gan_lightning.regularizers.path_length import PathLength
from gan_lightning.regularizers.penalties import R1, R2, GradientPenalty

__all__ = ["R1", "R2", "Constraint", "Drift", "GradientPenalty", "PathLength", "Regularizer", "WeightClipping"]
