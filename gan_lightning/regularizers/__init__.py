"""Regularisers: penalties that join a loss, and constraints applied after a step."""

from gan_lightning.regularizers.base import Constraint, Regularizer
from gan_lightning.regularizers.constraints import WeightClipping
from gan_lightning.regularizers.penalties import R1, R2, GradientPenalty

__all__ = ["R1", "R2", "Constraint", "GradientPenalty", "Regularizer", "WeightClipping"]
