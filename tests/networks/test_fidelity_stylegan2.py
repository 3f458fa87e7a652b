"""StyleGAN2 by the numbers of its authors' PyTorch code, networks_stylegan2.py of NVlabs/stylegan3, commit c233a91.

That code got the parameters of the recipe. It demodulates weights before their equalised learning rate's scale, so it
got the scaled ones: the epsilon beside their squares is then that of the first, TensorFlow code.
"""

from functools import partial

import torch
from recipe import fill, images, latents, near, numbers, told

from gan_lightning.networks import Discriminator, MappedProjectionHead, StyleGAN2Backbone, StyleGAN2Generator

WIDTHS = {"channel_base": 96, "channel_max": 8}  # 8, 8 and 6 channels


def generator():
    sizes = {"latent_dim": 6, "style_dim": 8, "mapping_layers": 2}
    return fill(StyleGAN2Generator(16, 3, num_classes=3, **sizes, **WIDTHS))


def test_generator():
    assert told(generator(), latents(3, 6), torch.tensor([2, 0, 1])) == near(
        [-0.31248530373, 1.1760432126, 0.50165752053, -0.8590968295, -0.40607770369, -0.26195052838],
        [36582.050883, 239.79311169],
    )


def test_synthesis_of_a_style_for_each_layer():
    assert told(generator().synthesis, numbers(2, 6, 8)) == near(
        [0.13797809441, 1.1216180496, -0.90088499719, 0.80488648911, 0.74112391432, -1.1248940087],
        [32.610150395, 107.73264286],
    )


def test_residual_discriminator_with_a_mapped_projection():
    head = partial(MappedProjectionHead, num_classes=3, embedding_dim=5, mapping_layers=2)
    network = Discriminator(StyleGAN2Backbone(16, 3, group_size=2, **WIDTHS), head)
    assert told(fill(network), images(4, 3, 16, 16), torch.tensor([2, 0, 1, 1])) == near(
        [-0.16466970052, 0.40006297143, 0.43570852322, -0.69064475057, -0.1890291009, -0.21471347382],
        [0.16749007997, 3.6803561826],
    )


def test_plain_discriminator():
    network = Discriminator(StyleGAN2Backbone(16, 3, architecture="orig", group_size=4, **WIDTHS))
    assert told(fill(network), images(4, 3, 16, 16)) == near(
        [0.53748984093, 0.034173940404, 0.56124802479, 0.50891529766, 0.58038800908, 0.4994080322],
        [0.10126119342, 2.2617345338],
    )
