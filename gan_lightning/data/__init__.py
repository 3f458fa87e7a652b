"""LightningDataModules, embedded data sets, resumable sampling."""

from gan_lightning.data.base import GANData
from gan_lightning.data.digits import Digits
from gan_lightning.data.mixtures import Grid, Mixture, Ring

__all__ = ["Digits", "GANData", "Grid", "Mixture", "Ring"]
