"""R3GAN by the numbers of its authors' code, R3GAN/Networks.py of brownvc/R3GAN, commit 19a7ddf, at the recipe's."""

from functools import partial

import torch
from recipe import fill, images, latents, near, told

from gan_lightning.networks import Discriminator, R3GANBackbone, R3GANGenerator
from gan_lightning.networks.r3gan import EmbeddedClassHead

WIDTHS = {"width": 8, "full_width_size": 8, "blocks": 2, "group_width": 4}  # 8, 8 and 4 channels


def test_generator():
    network = R3GANGenerator(16, 3, num_classes=3, latent_dim=6, label_dim=5, **WIDTHS)
    assert told(fill(network), latents(3, 6), torch.tensor([2, 0, 1])) == near(
        [0.37765857449, 0.53168247477, -0.32253709673, 0.063522096488, 0.044099369484, 0.061222684685],
        [8.3550323829, 309.52321607],
    )


def test_discriminator_of_classes():
    network = Discriminator(R3GANBackbone(16, 3, **WIDTHS), partial(EmbeddedClassHead, num_classes=3))
    assert told(fill(network), images(3, 3, 16, 16), torch.tensor([2, 0, 1])) == near(
        [0.3990211844, 0.31886980257, 0.26545563343, 0.26545563343, 0.83881482995, 0.092793089816],
        [0.41096603254, 12.895158071],
    )


def test_discriminator():
    network = Discriminator(R3GANBackbone(16, 3, **WIDTHS))
    assert told(fill(network), images(3, 3, 16, 16)) == near(
        [-1.5168928666, 0.36647682494, -1.2873332315, -1.2873332315, -1.2292616066, -2.0340837616],
        [0.66051073798, 6.4583360926],
    )
