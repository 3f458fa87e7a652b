"""FastGAN by the numbers of its authors' code, put together as its paper has it, at the recipe's parameters.

The authors' code (models.py, as kept in hugobb/FastGAN-pytorch) differs from their paper: two convolutions and noise at
every other resolution, excitation in the discriminator too, swish in it, no biases, a second small image and a second
small discriminator. The numbers come from its blocks InitLayer, UpBlock and DownBlockComp in the paper's order, with
excitations and last layers as the paper and our docstrings say: leaky ReLU 0.1 and biases.
"""

import torch
from recipe import fill, images, latents, near, told
from torch import nn

from gan_lightning.networks.fastgan import FastGANBackbone, FastGANDiscriminator, FastGANGenerator


def test_generator():
    assert told(fill(FastGANGenerator(128, 3, latent_dim=6, width=2)), latents(3, 6)) == near(
        [-0.14547585122, 0.090922596404, -0.22639657269, -0.016327432523, -0.015734554917, -0.01630040446],
        [0.78905262044, 520.78349915],
    )


def test_discriminator():
    network = fill(FastGANDiscriminator(FastGANBackbone(64, 3, width=2)))
    assert told(network, images(3, 3, 64, 64)) == near(
        [-0.28877257637, 0.040336467716, -0.35709067293, -0.2418639107, -0.25579649133, -0.25858581146],
        [0.43499753224, 80.258834046],
    )


class Reconstruction(nn.Module):
    """Mean absolute errors of the whole images and of one quadrant of each: `(N, C, H, W)` -> `(2,)`."""

    def __init__(self, discriminator):
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x):
        pairs = self.discriminator.reconstruct(self.discriminator(x), torch.tensor([1, 2, 3]))
        return torch.stack([(decoded - true).abs().mean() for decoded, true in pairs])


def test_reconstruction():
    network = Reconstruction(fill(FastGANDiscriminator(FastGANBackbone(64, 3, width=2))))
    assert told(network, images(3, 3, 64, 64)) == near(
        [0.90229422239, 0.026259405633, 0.92855362803, 0.92855362803, 0.92855362803, 0.87603481676],
        [0.013988465879, 0.17908072679],
    )
