"""BigGAN, BigGAN-deep and SAGAN by the numbers of the BigGANs' authors' code, ajbrock/BigGAN-PyTorch, commit 9845943.

That code got the parameters of the recipe. Spectral norm is in evaluation, as that code has it: one
iteration from the stored vector.
"""

from functools import partial

import pytest
import torch
from recipe import fill, images, latents, near, told

from gan_lightning.networks import (
    BigGANDeepBackbone,
    BigGANDeepGenerator,
    BigGANGenerator,
    Discriminator,
    ResNetBackbone,
    ResNetGenerator,
)
from gan_lightning.networks.heads import ProjectionHead

LABELS = torch.tensor([2, 0, 1])
CLASSES = {"num_classes": 3, "embedding_dim": 5}
GENERATORS = {
    "sagan 32": (
        lambda: ResNetGenerator(32, 3, 3, 6, 2, conditioning="batch_norm", spectral_norm=True, attention=16),
        [-0.022071518826, 0.64814393916, 0.52888172649, -0.4342903301, -0.26040601804, -0.34191917315],
        [8.5167736975, 702.3476249],
    ),
    "32": (
        lambda: BigGANGenerator(32, 3, latent_dim=8, width=2, attention=16, **CLASSES),
        [0.09639594431, 0.529498369, 0.57980240748, 0.26029939633, 0.5908181434, 0.52395350975],
        [22.578998106, 844.51585511],
    ),
    "128": (
        lambda: BigGANGenerator(128, 3, latent_dim=12, width=1, attention=8, **CLASSES),
        [-0.17255776567, 0.70194527898, -0.43634490537, 0.2085943137, 0.19925264616, 0.15263720202],
        [470.79269626, 5121.8340507],
    ),
    "deep 32": (
        lambda: BigGANDeepGenerator(32, 3, latent_dim=6, width=4, attention=16, **CLASSES),
        [0.56989466317, 0.48628315082, 0.89234991912, 0.95614060637, 0.45545432948, 0.78261408907],
        [64.673168626, 1070.5392666],
    ),
    "deep 128": (
        lambda: BigGANDeepGenerator(128, 3, latent_dim=6, width=2, attention=8, **CLASSES),
        [0.05852087742, 0.3643445019, 0.47267492446, -0.16928159189, -0.58854408697, 0.034053010313],
        [342.35482217, 2605.8780545],
    ),
}
BACKBONES = {
    "32": (
        lambda: ResNetBackbone(32, 3, width=4, wide=True, initialisation="orthogonal"),
        [28.806948338, 43.048997943, 7.2179482383, 7.2179482383, 88.899122185, -9.6962254107],
        [3.2296739825, 905.60019408],
    ),
    "64": (
        lambda: ResNetBackbone(64, 3, width=2, wide=True, attention=8, initialisation="orthogonal"),
        [0.070019096753, 6.1796900978, -6.8458629805, -6.8458629805, -1.0992189057, 8.1551391764],
        [0.056761467879, 155.52054777],
    ),
    "deep 64": (
        lambda: BigGANDeepBackbone(64, 3, width=4, attention=16),
        [-26.045234722, 11.523947186, -27.039919439, -27.039919439, -11.460309538, -39.63547519],
        [0.48959071989, 255.99809198],
    ),
}


@pytest.mark.parametrize("size", GENERATORS)
def test_generator(size):
    build, *expected = GENERATORS[size]
    network = build()
    assert told(fill(network), latents(3, network.latent_dim), LABELS) == near(*expected)


@pytest.mark.parametrize("size", BACKBONES)
def test_discriminator(size):
    build, *expected = BACKBONES[size]
    network, side = Discriminator(build(), partial(ProjectionHead, num_classes=3)), int(size.split()[-1])
    assert told(fill(network), images(3, 3, side, side), LABELS) == near(*expected)
