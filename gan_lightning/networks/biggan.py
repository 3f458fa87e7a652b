"""BigGAN's generator: Brock, Donahue and Simonyan 2018, arXiv 1809.11096. Its discriminator is a ResNetBackbone.

At 128x128 with width 96 and 1000 classes: 70,433,988 parameters in the generator, 87,982,370 in the discriminator.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks.base import Generator, required
from gan_lightning.networks.layers.attention import SelfAttention
from gan_lightning.networks.layers.initialisation import initialise
from gan_lightning.networks.layers.normalisation import ConditionalSequential
from gan_lightning.networks.layers.residual import GeneratorBlock, attention_size, doublings, generator_widths
from gan_lightning.networks.layers.spectral import spectrally_normalise
from gan_lightning.networks.resnet import image_layers
from gan_lightning.sizes import Size, halved, height_width


class BigGANGenerator(Generator):
    """BigGAN's generator. The latent is split in chunks, one for the first map and one for each block's batch norms.

    image_size: 16, 32, 48, 64, 96, 128, 192 or 256 pixels, or (height, width), see `doublings`; 16 and 32 as in
        StudioGAN's networks for CIFAR-10.
    num_classes: number of classes, 0 for none. All norms use one class embedding, each through its own linear map. A
        block's condition is this embedding and its chunk of the latent.
    latent_dim: divisible by the number of blocks plus one; None for 20 per chunk, as in the paper.
    width: channels of the feature map at full image size (above 32 pixels); see generator_widths.
    embedding_dim: dimension of the class embedding.
    attention: self-attention is on the largest feature map of at most this side (and half the image); None for none.
    """

    conditional_batch_norm = True

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int | None = None,
        width: int = 96,
        embedding_dim: int = 128,
        attention: int | None = 64,
        latent_distribution: str = "normal",
    ) -> None:
        super().__init__()
        widths = generator_widths(image_size, width, "doubling", "biggan")
        self.latent_dim = 20 * len(widths) if latent_dim is None else latent_dim
        self.chunk = _chunk(self.latent_dim, len(widths))
        self.num_classes, self.latent_distribution = num_classes, latent_distribution
        self.image_shape = (channels, *height_width(image_size))
        self.first_shape = (widths[0], *doublings(image_size, "biggan")[0])
        self.embedding = nn.Embedding(num_classes, embedding_dim) if num_classes else None
        self.linear = nn.Linear(self.chunk, math.prod(self.first_shape))
        self.blocks = nn.ModuleList()
        for times, (before, after) in enumerate(pairwise(widths), start=1):
            condition_dim = self.chunk + (embedding_dim if num_classes else 0)
            block = ConditionalSequential(GeneratorBlock(before, after, condition_dim))
            if halved(image_size, len(widths) - 1 - times) == attention_size(attention, image_size):
                block.append(SelfAttention(after))
            self.blocks.append(block)
        self.image = image_layers(widths[-1], channels)
        initialise(self, "orthogonal")
        spectrally_normalise(self, skip=(nn.Embedding,))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)` in [-1, 1]."""
        first, *chunks = z.split(self.chunk, 1)
        classes = [] if self.embedding is None else [self.embedding(required(labels))]
        maps = self.linear(first).unflatten(1, self.first_shape)
        for block, chunk in zip(self.blocks, chunks, strict=True):
            maps = block(maps, torch.cat([*classes, chunk], 1))
        return self.image(maps)


def _chunk(latent_dim: int, chunks: int) -> int:
    """Return the dimension of each of `chunks` chunks of the latent."""
    if latent_dim < chunks or latent_dim % chunks:
        raise UserError(
            f"BigGAN splits z into {chunks} chunks at this image size, which latent_dim={latent_dim} does not allow: "
            f"set model.generator.latent_dim={max(latent_dim // chunks, 1) * chunks}, or null for {20 * chunks}."
        )
    return latent_dim // chunks
