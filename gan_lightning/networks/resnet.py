"""The residual networks of WGAN-GP, SNGAN, cGAN-PD and SAGAN: one family; the papers differ in options.

Gulrajani et al. 2017 (arXiv 1704.00028): layout "constant", width 128, mean pooling, no spectral norm.
Miyato et al. 2018 (arXiv 1802.05957): width 64, spectral norm in the discriminator, sum pooling; with projection and
    conditional batch norm Miyato and Koyama 2018 (arXiv 1802.05637).
Zhang et al. 2018 (arXiv 1805.08318): spectral norm in both, attention, wide discriminator blocks.
Brock et al. 2018 (arXiv 1809.11096): the discriminator, wide, with attention at 64 pixels and orthogonal weights.

Differences to the authors' code: the epsilon of batch norm is 1e-5 for all, as in BigGAN's code (SNGAN's and cGAN-PD's:
2e-5). SNGAN's and cGAN-PD's discriminator for 64 pixels ends on 2x2 maps; here it ends on 4x4, as BigGAN's. Their
discriminator for 32 pixels has no bias in its last layer; here it has one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from gan_lightning.errors import UserError
from gan_lightning.networks.base import Backbone, Generator, concatenate_labels, required
from gan_lightning.networks.layers.attention import SelfAttention
from gan_lightning.networks.layers.initialisation import initialise, weighted_layers
from gan_lightning.networks.layers.normalisation import ConditionalBatchNorm2d, ConditionalSequential, condition_dim
from gan_lightning.networks.layers.residual import (
    DiscriminatorBlock,
    GeneratorBlock,
    attention_size,
    discriminator_widths,
    doublings,
    generator_widths,
)
from gan_lightning.networks.layers.spectral import spectrally_normalise
from gan_lightning.sizes import Size, halved, height_width


class ResNetGenerator(Generator):
    """A linear layer to a map with a shorter side of 4 (or 6) pixels, residual blocks that double it, tanh last.

    image_size: 16, 32, 48, 64, 96, 128, 192 or 256 pixels, or (height, width), see `doublings`.
    channels: 1 or 3.
    width, layout: channels of the maps, see generator_widths.
    num_classes: number of classes, 0 for none.
    conditioning: "concat" concatenates classes to z; "batch_norm" lets them set gain and shift of the blocks' norms.
    spectral_norm: on convolutions and linear layers.
    attention: self-attention is on the largest feature map of at most this side (and half the image); None for none.
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int = 128,
        width: int = 64,
        layout: str = "doubling",
        conditioning: str = "concat",
        spectral_norm: bool = False,
        attention: int | None = None,
        latent_distribution: str = "normal",
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.image_shape, self.latent_distribution = (channels, *height_width(image_size)), latent_distribution
        self.condition_dim = condition_dim(conditioning, num_classes)
        widths, first = generator_widths(image_size, width, layout, "resnet"), doublings(image_size, "resnet")[0]
        self.first_shape = (widths[0], *first)
        inputs = latent_dim + num_classes - self.condition_dim
        self.linear = nn.Linear(inputs, math.prod(self.first_shape))
        self.blocks = ConditionalSequential()
        for times, (before, after) in enumerate(pairwise(widths), start=1):
            self.blocks.append(GeneratorBlock(before, after, self.condition_dim))
            if halved(image_size, len(widths) - 1 - times) == attention_size(attention, image_size):
                self.blocks.append(SelfAttention(after))
        self.image = image_layers(widths[-1], channels)
        initialise(self, skip=(ConditionalBatchNorm2d,))
        for layer in weighted_layers(self.image):
            nn.init.xavier_uniform_(layer.weight)
        if spectral_norm:
            spectrally_normalise(self, skip=(ConditionalBatchNorm2d,))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)` in [-1, 1]."""
        condition = None
        if self.condition_dim:
            condition = one_hot(required(labels), self.num_classes).to(z.dtype)
        elif self.num_classes:
            z = concatenate_labels(z, labels, self.num_classes)
        return self.image(self.blocks(self.linear(z).unflatten(1, self.first_shape), condition))


def image_layers(width: int, channels: int) -> nn.Sequential:
    """Return the layers from the last feature map to the image."""
    convolution = nn.Conv2d(width, channels, 3, padding=1)
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True), convolution, nn.Tanh())


class ResNetBackbone(Backbone):
    """Residual blocks that halve the size (except the last), ReLU, then a sum or mean over positions.

    label_maps: number of one-hot label maps that are concatenated to the image.
    width, layout: channels of the maps, see discriminator_widths.
    wide: a block's hidden map has as many channels as its output, else as its input.
    pooling: "sum" (SNGAN and after) or "mean" (WGAN-GP).
    spectral_norm: on all weights that process images, including the head's; not on a class's mapping
        (MappedProjectionHead).
    attention: self-attention is on the largest feature map of at most this side (and half the image); None for none.
    initialisation: "glorot" or "orthogonal".
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        width: int = 64,
        layout: str = "doubling",
        wide: bool = False,
        pooling: str = "sum",
        spectral_norm: bool = True,
        attention: int | None = None,
        initialisation: str = "glorot",
    ) -> None:
        super().__init__()
        widths, halves = discriminator_widths(image_size, width, layout, "resnet")
        self.blocks, times = nn.Sequential(), 0
        for index, (before, after) in enumerate(pairwise([channels + label_maps, *widths])):
            self.blocks.append(DiscriminatorBlock(before, after, halves[index], index == 0, wide))
            times += halves[index]
            if halves[index] and halved(image_size, times) == attention_size(attention, image_size):
                self.blocks.append(SelfAttention(after))
        self.pool = _pool(pooling)
        self.feature_dim, self.label_maps = widths[-1], label_maps
        self.initialisation, self.spectral_norm = initialisation, spectral_norm
        self.initialise_head(self.blocks)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images `(N, C + label_maps, H, W)`."""
        return self.pool(relu(self.blocks(images)), (2, 3))

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise and normalise the head's weights like those of the backbone."""
        initialise(head, self.initialisation)
        if self.spectral_norm:
            spectrally_normalise(head)


def _pool(pooling: str) -> Callable[[Tensor, tuple[int, int]], Tensor]:
    pools: dict[str, Callable[[Tensor, tuple[int, int]], Tensor]] = {"sum": torch.sum, "mean": torch.mean}
    if pooling not in pools:
        raise UserError(f"pooling={pooling} is not known to the discriminator: choose sum or mean.")
    return pools[pooling]
