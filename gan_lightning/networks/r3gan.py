"""R3GAN: Huang, Gokaslan, Kuleshov and Tompkin 2024, arXiv 2501.05441 (configuration E).

No normalisation, no style, no tanh: grouped residual blocks that start as the identity, with resampling between. At
32x32 with 10 classes: 20,781,952 parameters in the generator, 21,280,512 in the discriminator.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import Backbone, DiscriminatorOutput, Generator, halvings, required
from gan_lightning.networks.heads import Head
from gan_lightning.networks.layers.resample import Downsample, Upsample
from gan_lightning.sizes import Size, halved, height_width

GAIN = math.sqrt(2 / (1 + 0.2**2))  # compensates leaky ReLU 0.2


class R3GANBlock(nn.Module):
    """x + conv1x1(act(grouped conv3x3(act(conv1x1(x))))), twice the channels inside; the last convolution starts at 0.

    group_width: channels of a group of the 3x3 convolution.
    gain: of the first two convolutions.
    """

    def __init__(self, channels: int, group_width: int, gain: float) -> None:
        super().__init__()
        hidden = 2 * channels
        groups = hidden // math.gcd(group_width, hidden)
        self.residual = nn.Sequential(
            scaled(nn.Conv2d(channels, hidden, 1), gain),
            nn.LeakyReLU(0.2, inplace=True),
            scaled(nn.Conv2d(hidden, hidden, 3, padding=1, groups=groups), gain),
            nn.LeakyReLU(0.2, inplace=True),
            scaled(nn.Conv2d(hidden, channels, 1, bias=False), 0.0),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, channels, H, W)` to the same shape."""
        return images + self.residual(images)


class R3GANGenerator(Generator):
    """A linear map of z scales a learned 4x4 basis; then blocks, with 1x1 convolution and upsampling between
    resolutions.

    image_size: pixels, a power of two from 8 to 1024, or (height, width), see `halvings`.
    width: channels up to `full_width_size` pixels; above, halved with each doubling of the size.
    blocks: residual blocks at each resolution.
    group_width: channels of a group; the paper's ImageNet networks have width 1536 and groups of 32.
    label_dim: dimension of the class embedding, which is concatenated to z.
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int = 64,
        width: int = 768,
        full_width_size: int = 32,
        blocks: int = 2,
        group_width: int = 16,
        label_dim: int = 64,
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.image_shape = (channels, *height_width(image_size))
        widths = stage_widths(image_size, width, full_width_size)
        self.embedding = _embedding(num_classes, label_dim) if num_classes else None
        inputs = latent_dim + (label_dim if num_classes else 0)
        self.linear = scaled(nn.Linear(inputs, widths[0], bias=False))
        self.basis = nn.Parameter(torch.randn(widths[0], *halved(image_size, len(widths) - 1)))
        layers = _stage(widths[0], blocks, group_width, len(widths))
        for before, after in pairwise(widths):
            layers += [*_change(before, after), Upsample(), *_stage(after, blocks, group_width, len(widths))]
        self.layers = nn.Sequential(*layers, scaled(nn.Conv2d(widths[-1], channels, 1, bias=False)))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)`, about in [-1, 1], but not bounded."""
        if self.embedding is not None:
            z = torch.cat([z, self.embedding(required(labels))], dim=1)
        return self.layers(self.linear(z)[:, :, None, None] * self.basis)


class R3GANBackbone(Backbone):
    """The generator in reverse: blocks with downsampling and 1x1 between; a depthwise convolution of the 4x4 map last.

    Arguments are those of R3GANGenerator.
    """

    head_bias = False

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        width: int = 768,
        full_width_size: int = 32,
        blocks: int = 2,
        group_width: int = 16,
    ) -> None:
        super().__init__()
        self.label_maps = label_maps
        widths = stage_widths(image_size, width, full_width_size)[::-1]
        layers: list[nn.Module] = [scaled(nn.Conv2d(channels + label_maps, widths[0], 1, bias=False))]
        layers += _stage(widths[0], blocks, group_width, len(widths))
        for before, after in pairwise(widths):
            layers += [Downsample(), *_change(before, after), *_stage(after, blocks, group_width, len(widths))]
        smallest = halved(image_size, len(widths) - 1)
        last = scaled(nn.Conv2d(widths[-1], widths[-1], smallest, groups=widths[-1], bias=False))
        self.layers = nn.Sequential(*layers, last, nn.Flatten())
        self.feature_dim = widths[-1]

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images `(N, C + label_maps, H, W)`."""
        return self.layers(images)

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise the head's linear layers like all others."""
        for layer in head.modules():
            if isinstance(layer, nn.Linear):
                scaled(layer)


class EmbeddedClassHead(Head):
    """D(x, y) = <linear(features), embedding of y>, without an unconditional logit.

    As in the paper's conditional discriminator, the linear layer has as many outputs as features.
    """

    needs_labels = True

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True) -> None:
        super().__init__(feature_dim, num_classes, bias, outputs=feature_dim)
        self.embedding = _embedding(num_classes, feature_dim, 1 / math.sqrt(feature_dim))

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)` of class `labels`."""
        logits = (self.linear(features) * self.embedding(required(labels))).sum(1)
        return DiscriminatorOutput(logits, features)


def stage_widths(image_size: Size, width: int, full_width_size: int) -> list[int]:
    """Return the channels where the shorter side has 4, 8, ... pixels; UserError for other sizes, see `halvings`."""
    sizes = [4 * 2**k for k in range(halvings(image_size, "r3gan", largest=1024) + 1)]
    return [max(width * min(full_width_size, size) // size, 1) for size in sizes]


def scaled(layer: nn.Module, gain: float = 1.0) -> nn.Module:
    """Draw the weight from N(0, gain^2 / fan in), zero the bias, and return the layer."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    nn.init.normal_(weight, 0.0, gain / math.sqrt(weight[0].numel()))
    bias = getattr(layer, "bias", None)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)
    return layer


def _embedding(num_classes: int, dim: int, gain: float = 1.0) -> nn.Embedding:
    """Return an embedding, initialised like a linear layer on one-hot codes."""
    embedding = nn.Embedding(num_classes, dim)
    nn.init.normal_(embedding.weight, 0.0, gain / math.sqrt(num_classes))
    return embedding


def _stage(channels: int, blocks: int, group_width: int, stages: int) -> list[nn.Module]:
    """Return the blocks of a resolution; of L in all stages, each has the gain times L^(-1/4) (Zhang et al. 2019)."""
    gain = GAIN * (blocks * stages) ** -0.25
    return [R3GANBlock(channels, group_width, gain) for _ in range(blocks)]


def _change(before: int, after: int) -> list[nn.Module]:
    return [] if before == after else [scaled(nn.Conv2d(before, after, 1, bias=False))]
