"""StyleGAN2: Karras et al. 2019, arXiv 1912.04958; with classes as in ADA's, Karras et al. 2020, arXiv 2006.06676.

At 1024x1024 (config F): 30,370,060 parameters in the generator, 29,012,513 in the discriminator.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError, check_range
from gan_lightning.networks.base import Backbone, DiscriminatorOutput, halvings, map_sizes
from gan_lightning.networks.growing import channels_at
from gan_lightning.networks.heads import Head
from gan_lightning.networks.layers.equalised import EqualisedConv2d, EqualisedLinear, equalise_head
from gan_lightning.networks.layers.minibatch import minibatch_stddev
from gan_lightning.networks.layers.modulated import ModulatedConv2d
from gan_lightning.networks.layers.resample import Downsample, Filter, Upsample
from gan_lightning.networks.styles import Mapping, Noise, ScaledLeakyReLU, StyleGenerator
from gan_lightning.sizes import Size, height_width


def _sizes(image_size: Size) -> list[tuple[int, int]]:
    """Return height and width of the maps, smallest first."""
    return map_sizes(image_size, halvings(image_size, "stylegan2", largest=1024) + 1)


class _Layer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, activation."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], style_dim: int, upsample: bool) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, outputs, 3, style_dim, upsample=upsample)
        self.noise = Noise(size)
        self.bias = nn.Parameter(torch.zeros(outputs, 1, 1))
        self.activation = ScaledLeakyReLU()

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        return self.activation(self.noise(self.convolution(images, styles)) + self.bias)


class _ToRGB(nn.Module):
    """Modulated 1x1 convolution without demodulation, and a bias."""

    def __init__(self, inputs: int, channels: int, style_dim: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        return self.convolution(images, styles) + self.bias


class Synthesis(nn.Module):
    """A learned constant, one layer at its size and two at each later resolution; RGB images of all are summed."""

    def __init__(self, image_size: Size, channels: int, style_dim: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        sizes = _sizes(image_size)
        widths = [channels_at(min(size), channel_base, channel_max) for size in sizes]
        self.constant = nn.Parameter(torch.randn(widths[0], *sizes[0]))
        layers = [_Layer(widths[0], widths[0], sizes[0], style_dim, upsample=False)]
        for size, before, width in zip(sizes[1:], widths, widths[1:], strict=False):
            layers += [_Layer(before, width, size, style_dim, True), _Layer(width, width, size, style_dim, False)]
        self.layers = nn.ModuleList(layers)
        self.to_rgb = nn.ModuleList(_ToRGB(width, channels, style_dim) for width in widths)
        self.upsample = Upsample()
        self.num_styles = len(layers) + 1

    def forward(self, styles: Tensor) -> Tensor:
        """Map styles `(N, num_styles, style_dim)` to images; an RGB layer shares its style with the next layer."""
        maps = self.layers[0](self.constant.expand(styles.shape[0], -1, -1, -1), styles[:, 0])
        images = self.to_rgb[0](maps, styles[:, 1])
        for level in range(1, len(self.to_rgb)):
            index = 2 * level - 1
            maps = self.layers[index](maps, styles[:, index])
            maps = self.layers[index + 1](maps, styles[:, index + 1])
            images = self.upsample(images) + self.to_rgb[level](maps, styles[:, index + 2])
        return images


class StyleGAN2Generator(StyleGenerator):
    """The generator with skip connections to RGB.

    image_size: pixels, a power of two from 8 to 1024, or (height, width), see `halvings`.
    channel_base, channel_max: a layer at resolution r has channel_base / r channels, at most channel_max.
    num_classes: number of classes, 0 for none; the class embedding enters the mapping network beside z.
    mixing: share of training images that mix the styles of two latents.
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int = 512,
        style_dim: int = 512,
        mapping_layers: int = 8,
        channel_base: int = 32768,
        channel_max: int = 512,
        mixing: float = 0.9,
    ) -> None:
        super().__init__()
        check_range("model.generator", 0, 1, mixing=mixing)
        self.latent_dim, self.num_classes, self.mixing = latent_dim, num_classes, mixing
        self.image_shape = (channels, *height_width(image_size))
        self.mapping = Mapping(latent_dim, num_classes, style_dim, mapping_layers, gain_after=True)
        self.synthesis: Synthesis = Synthesis(image_size, channels, style_dim, channel_base, channel_max)

    @property
    def num_styles(self) -> int:
        """Number of styles, one for each layer; 18 at 1024x1024."""
        return self.synthesis.num_styles


class _Block(nn.Module):
    """Two 3x3 convolutions, the second halves the size; the residual form adds a filtered 1x1 path."""

    def __init__(self, inputs: int, outputs: int, residual: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            EqualisedConv2d(inputs, inputs, 3, gain=1.0),
            ScaledLeakyReLU(),
            Filter(padding=(2, 2)),
            EqualisedConv2d(inputs, outputs, 3, gain=1.0, stride=2, padding=0),
            ScaledLeakyReLU(),
        )
        path = nn.Sequential(Downsample(), EqualisedConv2d(inputs, outputs, 1, bias=False, gain=1.0))
        self.skip = path if residual else None

    def forward(self, images: Tensor) -> Tensor:
        maps = self.layers(images)
        return maps if self.skip is None else (maps + self.skip(images)) * 0.5**0.5


class StyleGAN2Backbone(Backbone):
    """The residual discriminator, or the plain one that ADA uses for small images.

    architecture: "resnet", or "orig" for blocks without skip connections.
    group_size: samples in a group of the minibatch standard deviation; 0 leaves the layer out.
    label_maps: number of one-hot label maps that are concatenated to the image (see Discriminator).
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        channel_base: int = 32768,
        channel_max: int = 512,
        architecture: Literal["resnet", "orig"] = "resnet",
        group_size: int = 4,
    ) -> None:
        super().__init__()
        if architecture not in ("resnet", "orig"):
            raise UserError(f"architecture={architecture} is not known to stylegan2: choose resnet or orig.")
        sizes = _sizes(image_size)[::-1]
        widths = [channels_at(min(size), channel_base, channel_max) for size in sizes]
        self.label_maps, self.feature_dim = label_maps, widths[-1]
        self.layers = nn.Sequential(
            EqualisedConv2d(channels + label_maps, widths[0], 1, gain=1.0),
            ScaledLeakyReLU(),
            *[_Block(before, after, architecture == "resnet") for before, after in pairwise(widths)],
            minibatch_stddev(group_size),
            EqualisedConv2d(widths[-1] + bool(group_size), widths[-1], 3, gain=1.0),
            ScaledLeakyReLU(),
            nn.Flatten(),
            EqualisedLinear(widths[-1] * math.prod(sizes[-1]), widths[-1]),
            ScaledLeakyReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images `(N, C + label_maps, H, W)`."""
        return self.layers(images) * self.feature_dim**-0.5  # the head's weights have unit variance

    def initialise_head(self, head: nn.Module) -> None:
        """Draw the head's weights from N(0, 1)."""
        equalise_head(head)


class MappedProjectionHead(Head):
    """<linear(features), mapping(y)> / sqrt(dim): projection with a mapping network of the class, as in ADA.

    Karras et al. 2020, arXiv 2006.06676, after Miyato and Koyama 2018, arXiv 1802.05637.

    With spectral norm the linear layer is normalised and the mapping is not, since it processes no images. Eight
    initial layers of norm one would reduce the class's vector, and with it the logit, to almost 0.

    embedding_dim: dimension of the mapping's output; None for feature_dim.
    mapping_layers: number of layers of the mapping.
    """

    needs_labels = True

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        embedding_dim: int | None = None,
        mapping_layers: int = 8,
    ) -> None:
        dim = embedding_dim or feature_dim
        super().__init__(feature_dim, num_classes, bias)
        self.linear = nn.Linear(feature_dim, dim, bias=bias)
        self.mapping = Mapping(0, num_classes, dim, mapping_layers, gain_after=True)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)` for "real and of class `labels`"."""
        scores, classes = self.linear(features), self.mapping(None, labels)
        return DiscriminatorOutput((scores * classes).sum(1) * scores.shape[1] ** -0.5, features)
