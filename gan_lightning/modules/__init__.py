"""LightningModules: the games."""

from gan_lightning.modules.gan import GAN
from gan_lightning.modules.progressive import ProgressiveGAN

__all__ = ["GAN", "ProgressiveGAN"]
