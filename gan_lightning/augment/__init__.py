"""Augmentations of the discriminator's input; the same ones for real and fake, in both players' steps."""

from gan_lightning.augment.ada import ADA
from gan_lightning.augment.apa import APA
from gan_lightning.augment.base import Augment
from gan_lightning.augment.diffaugment import DiffAugment
from gan_lightning.augment.flip_and_shift import FlipAndShift
from gan_lightning.augment.instance_noise import InstanceNoise
from gan_lightning.streams import Draw

__all__ = ["ADA", "APA", "Augment", "DiffAugment", "Draw", "FlipAndShift", "InstanceNoise"]
