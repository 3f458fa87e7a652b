"""ProGAN and StyleGAN by the numbers of their authors' TensorFlow code, grown and half grown, at the recipe's.

It is networks.py of tkarras/progressive_growing_of_gans, commit 2504c3f, and networks_stylegan.py of NVlabs/stylegan,
commit 1e0d5c7, run in double precision. Not compared: StyleGAN's classes, which enter its mapping here as StyleGAN2's.
"""

import pytest
import torch
from recipe import fill, images, latents, near, numbers, told

from gan_lightning.networks import Discriminator, ProGANBackbone, ProGANGenerator, StyleGANGenerator

WIDTHS = {"channel_base": 96, "channel_max": 8}  # 8, 8 and 6 channels
STAGES = {"grown": (2, 1.0), "fading": (1, 0.3)}
PROGAN = {
    "grown": (
        [0.091644253158, 0.4837051924, 0.088305584238, -1.1551618378, -0.93833628556, -1.1549295625],
        [11.982020933, 84.682830771],
    ),
    "fading": (
        [-0.29637248442, 0.59631892855, -0.61850013706, -0.025353833035, -0.22881313801, -0.7166999787],
        [22.798935596, 59.12811179],
    ),
}
STYLEGAN = {
    "grown": (
        [-0.38667989565, 1.7965907059, -1.3078825715, -0.90768100146, 0.34917462736, -1.7958995802],
        [57916.861287, 669.55999846],
    ),
    "fading": (
        [0.15558076724, 1.1576537268, -1.2029280756, 0.69146303103, 0.31374192391, 0.28608478563],
        [16675.248723, 197.99754833],
    ),
}
DISCRIMINATORS = {
    ("progan", "grown"): (
        [0.34218912466, 0.061290912679, 0.28436124084, 0.43828488194, 0.29376670791, 0.35234366798],
        [0.21737345995, 2.0062023746],
    ),
    ("progan", "fading"): (
        [0.20015586122, 0.035399610268, 0.14611554485, 0.19116931318, 0.23522055879, 0.22811802805],
        [0.18437031241, 1.7252820702],
    ),
    ("stylegan", "grown"): (
        [0.35671562252, 0.064749715546, 0.2487917754, 0.3798517648, 0.37682958101, 0.42138936889],
        [0.14364642642, 2.0339556288],
    ),
    ("stylegan", "fading"): (
        [0.19289921297, 0.031573293694, 0.143035474, 0.18850798108, 0.22226446361, 0.21778893318],
        [0.18049637534, 1.7057264101],
    ),
}


@pytest.mark.parametrize("stage", STAGES)
def test_progan_generator(stage):
    network = fill(ProGANGenerator(16, 3, num_classes=3, latent_dim=6, **WIDTHS))
    network.grow(*STAGES[stage])
    assert told(network, latents(3, 6), torch.tensor([2, 0, 1])) == near(*PROGAN[stage])


@pytest.mark.parametrize(("kind", "stage"), DISCRIMINATORS)
def test_discriminator(kind, stage):
    network = fill(Discriminator(ProGANBackbone(16, 3, blur=kind == "stylegan", group_size=2, **WIDTHS)))
    network.backbone.grow(*STAGES[stage])
    assert told(network, images(4, 3, 16, 16)) == near(*DISCRIMINATORS[kind, stage])


def stylegan(stage):
    network = fill(StyleGANGenerator(16, 3, latent_dim=6, style_dim=8, mapping_layers=2, **WIDTHS))
    network.synthesis.grow(*STAGES[stage])
    return network


@pytest.mark.parametrize("stage", STAGES)
def test_stylegan_generator(stage):
    assert told(stylegan(stage), latents(3, 6)) == near(*STYLEGAN[stage])


def test_stylegan_synthesis_of_a_style_for_each_layer():
    assert told(stylegan("grown").synthesis, numbers(2, 6, 8)) == near(
        [0.075973030274, 1.9746800882, -2.3126552116, 6.0399684382, 1.5863145371, -1.2198404441],
        [172.66951404, 504.79783406],
    )
