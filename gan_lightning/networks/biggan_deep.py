"""BigGAN-deep: Brock, Donahue and Simonyan 2018, arXiv 1809.11096, appendix B; four narrow convolutions in each block.

At 128x128 with width 128 and 1000 classes: 50,244,484 parameters in the generator, 34,590,210 in the discriminator.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu

from gan_lightning.networks.base import Backbone, Generator, required
from gan_lightning.networks.layers.attention import SelfAttention
from gan_lightning.networks.layers.initialisation import initialise
from gan_lightning.networks.layers.normalisation import ConditionalSequential, batch_norm
from gan_lightning.networks.layers.residual import attention_size, discriminator_widths, doublings, generator_widths
from gan_lightning.networks.layers.spectral import spectrally_normalise
from gan_lightning.networks.resnet import image_layers
from gan_lightning.sizes import Size, halved, height_width


class DeepGeneratorBlock(nn.Module):
    """Convolutions 1x1, 3x3, 3x3, 1x1 with norm and ReLU before each; a quarter of the channels inside.

    The shortcut drops channels if there are fewer outputs.

    double: whether the size is doubled, after the first convolution.
    """

    takes_condition: ClassVar[bool] = True

    def __init__(self, inputs: int, outputs: int, double: bool, condition_dim: int) -> None:
        super().__init__()
        hidden = max(inputs // 4, 1)
        self.outputs, self.doubles = outputs, double
        self.residual = ConditionalSequential(
            *_activated(inputs, condition_dim),
            nn.Conv2d(inputs, hidden, 1),
            *_activated(hidden, condition_dim),
            nn.Upsample(scale_factor=2) if double else nn.Identity(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            *_activated(hidden, condition_dim),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            *_activated(hidden, condition_dim),
            nn.Conv2d(hidden, outputs, 1),
        )

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map `(N, inputs, H, W)` and conditions `(N, condition_dim)` to `(N, outputs, H, W)`, or to 2H and 2W."""
        kept = inputs[:, : self.outputs]
        return self.residual(inputs, condition) + (interpolate(kept, scale_factor=2) if self.doubles else kept)


def _activated(channels: int, condition_dim: int) -> list[nn.Module]:
    return [batch_norm(channels, condition_dim), nn.ReLU(inplace=True)]


class BigGANDeepGenerator(Generator):
    """The latent and the class embedding, concatenated, make the first map and condition every batch norm.

    image_size: 16, 32, 48, 64, 96, 128, 192 or 256 pixels, or (height, width), see `doublings`.
    num_classes: number of classes, 0 for none.
    width: channels of the feature map at full image size (above 32 pixels); see generator_widths.
    depth: blocks at each size; the last one doubles the size.
    embedding_dim: dimension of the class embedding.
    attention: self-attention is on the largest feature map of at most this side (and half the image); None for none.
    """

    conditional_batch_norm = True

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int = 128,
        width: int = 128,
        depth: int = 2,
        embedding_dim: int = 128,
        attention: int | None = 64,
        latent_distribution: str = "normal",
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.latent_distribution = latent_dim, num_classes, latent_distribution
        self.image_shape = (channels, *height_width(image_size))
        widths = generator_widths(image_size, width, "doubling", "biggan_deep")
        self.first_shape = (widths[0], *doublings(image_size, "biggan_deep")[0])
        self.embedding = nn.Embedding(num_classes, embedding_dim) if num_classes else None
        condition_dim = latent_dim + (embedding_dim if num_classes else 0)
        self.linear = nn.Linear(condition_dim, math.prod(self.first_shape))
        self.blocks = ConditionalSequential()
        for times, (before, after) in enumerate(pairwise(widths), start=1):
            for _ in range(depth - 1):
                self.blocks.append(DeepGeneratorBlock(before, before, False, condition_dim))
            self.blocks.append(DeepGeneratorBlock(before, after, True, condition_dim))
            if halved(image_size, len(widths) - 1 - times) == attention_size(attention, image_size):
                self.blocks.append(SelfAttention(after))
        self.image = image_layers(widths[-1], channels)
        initialise(self, "orthogonal")
        spectrally_normalise(self, skip=(nn.Embedding,))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)` in [-1, 1]."""
        condition = z if self.embedding is None else torch.cat([self.embedding(required(labels)), z], 1)
        return self.image(self.blocks(self.linear(condition).unflatten(1, self.first_shape), condition))


class DeepDiscriminatorBlock(nn.Module):
    """Convolutions 1x1, 3x3, 3x3, 1x1 with ReLU before each; a quarter of the output's channels inside.

    The shortcut keeps its channels, and a 1x1 convolution adds the missing ones.

    halve: whether the size is halved, before the last convolution.
    """

    def __init__(self, inputs: int, outputs: int, halve: bool) -> None:
        super().__init__()
        hidden = max(outputs // 4, 1)
        self.halve = halve
        self.residual = nn.Sequential(
            nn.ReLU(),  # not in place: the shortcut reads the same tensor
            nn.Conv2d(inputs, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AvgPool2d(2) if halve else nn.Identity(),
            nn.Conv2d(hidden, outputs, 1),
        )
        self.further = nn.Conv2d(inputs, outputs - inputs, 1) if outputs > inputs else None

    def forward(self, inputs: Tensor) -> Tensor:
        """Map `(N, inputs, H, W)` to `(N, outputs, H, W)`, or H/2 and W/2."""
        kept = avg_pool2d(inputs, 2) if self.halve else inputs
        if self.further is not None:
            kept = torch.cat([kept, self.further(kept)], 1)
        return self.residual(inputs) + kept


class BigGANDeepBackbone(Backbone):
    """A convolution, then blocks that halve the size to 4x4 (from 16 and 32 pixels to 8x8), ReLU, sum over positions.

    label_maps: number of one-hot label maps that are concatenated to the image.
    width: channels of the feature map at full image size (above 32 pixels); see discriminator_widths.
    depth: blocks at each size; the first one halves the size.
    attention: self-attention is on the largest feature map of at most this side (and half the image); None for none.
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        width: int = 128,
        depth: int = 2,
        attention: int | None = 64,
    ) -> None:
        super().__init__()
        widths, halves = discriminator_widths(image_size, width, "doubling", "biggan_deep")
        self.image = nn.Conv2d(channels + label_maps, widths[0], 3, padding=1)
        self.blocks, times = nn.Sequential(), 0
        for (before, after), halve in zip(pairwise(widths), halves, strict=False):
            self.blocks.append(DeepDiscriminatorBlock(before, after, halve))
            for _ in range(depth - 1):
                self.blocks.append(DeepDiscriminatorBlock(after, after, False))
            times += halve
            if halve and halved(image_size, times) == attention_size(attention, image_size):
                self.blocks.append(SelfAttention(after))
        self.feature_dim, self.label_maps = widths[-1], label_maps
        self.initialise_head(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images `(N, C + label_maps, H, W)`."""
        return relu(self.blocks(self.image(images))).sum((2, 3))

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise and normalise the head's weights like those of the backbone."""
        initialise(head, "orthogonal")
        spectrally_normalise(head)
