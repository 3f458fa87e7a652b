"""SNGAN's and cGAN-PD's residual networks by the numbers of their authors' code, at the recipe's parameters.

It is pfnet-research/sngan_projection, commit e84b1a5, run by chainer 7.8.1, with two changes: batch norm has PyTorch's
epsilon, 1e-5, and not chainer's 2e-5; and the last linear layer of the networks for 32 pixels has a bias, as it has in
those for larger images. Not compared are its networks for 64 pixels, whose discriminator halves once more, to 2x2.
WGAN-GP's (no spectral norm, the mean over positions) are held to formulas in this file.
"""

from functools import partial

import torch
from recipe import fill, images, latents, near, told
from torch.nn.functional import avg_pool2d, conv2d, linear, relu

from gan_lightning.networks import Discriminator, ResNetBackbone, ResNetGenerator
from gan_lightning.networks.heads import ProjectionHead

LABELS = torch.tensor([2, 0, 1])


def test_generator_with_conditional_batch_norm():
    network = ResNetGenerator(64, 3, num_classes=3, latent_dim=6, width=1, conditioning="batch_norm")
    assert told(fill(network), latents(3, 6), LABELS) == near(
        [-0.079750612143, 0.66945452346, -0.016256555722, -0.99154267162, -0.37463645202, -0.7802225473],
        [103.40978729, 3041.4130809],
    )


def test_generator():
    assert told(fill(ResNetGenerator(32, 3, latent_dim=6, width=2)), latents(3, 6)) == near(
        [-0.30784896356, 0.72874416839, -0.79985216853, 0.85497600576, 0.70930178653, 0.75145736154],
        [24.169284505, 832.64562783],
    )


def test_projection_discriminator():
    network = Discriminator(ResNetBackbone(128, 3, width=2), partial(ProjectionHead, num_classes=3))
    assert told(fill(network), images(3, 3, 128, 128), LABELS) == near(
        [6.0314983017, 3.5976339466, 11.103583659, 11.103583659, 3.8417468517, 3.1491643941],
        [0.041846087631, 196.42258942],
    )


def test_discriminator():
    assert told(fill(Discriminator(ResNetBackbone(32, 3, width=4))), images(3, 3, 32, 32)) == near(
        [57.00701374, 0.76271911056, 58.073077738, 58.073077738, 56.331709727, 56.616253755],
        [2.4921206863, 38.39114642],
    )


def critic(weights, x):
    """WGAN-GP's for 32 pixels; `weights` are (weight, bias) pairs of each block's two convolutions and shortcut."""
    for index in range(4):
        (w1, b1), (w2, b2) = next(weights), next(weights)
        maps = conv2d(x if index == 0 else relu(x), w1, b1, padding=1)
        maps = conv2d(relu(maps), w2, b2, padding=1)
        if index < 2:
            maps, x = avg_pool2d(maps, 2), conv2d(avg_pool2d(x, 2), *next(weights))
        x = maps + x
    return linear(relu(x).mean((2, 3)), *next(weights)).squeeze(1)


def test_wgan_gp_critic():
    network = fill(
        Discriminator(ResNetBackbone(32, 3, width=4, layout="constant", pooling="mean", spectral_norm=False))
    )
    parameters, x = list(network.parameters()), images(3, 3, 32, 32)
    logits = critic(zip(parameters[::2], parameters[1::2], strict=True), x)
    torch.testing.assert_close(network(x).logits, logits, rtol=1e-12, atol=1e-12)
