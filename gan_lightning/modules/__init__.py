"""LightningModules: the games."""

from gan_lightning.modules.gan import GAN

__all__ = ["GAN"]
