"""StyleGAN: Karras et al. 2018, arXiv 1812.04948. The discriminator is ProGAN's, with a blur before each halving.

At 1024x1024: 26,219,627 parameters in the generator, of which 2,101,248 map z to w.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import check_range
from gan_lightning.networks.growing import Growing, channels_at
from gan_lightning.networks.layers.equalised import EqualisedConv2d, EqualisedLinear
from gan_lightning.networks.layers.resample import Blur, nearest_upsample
from gan_lightning.networks.styles import Mapping, Noise, StyleGenerator
from gan_lightning.sizes import Size, height_width


class AdaptiveInstanceNorm(nn.Module):
    """Normalise each map of each sample, scale it by 1 + y_s and add y_b; both are linear in the style.

    Huang and Belongie 2017, arXiv 1703.06868.
    """

    def __init__(self, channels: int, style_dim: int) -> None:
        super().__init__()
        self.affine = EqualisedLinear(style_dim, 2 * channels)

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        """Map `(N, C, H, W)` with styles `(N, style_dim)`."""
        scale, shift = self.affine(styles)[:, :, None, None].to(images.dtype).chunk(2, 1)
        return functional.instance_norm(images, eps=1e-8) * (1 + scale) + shift


class _Layer(nn.Module):
    """Convolution (except on the constant), noise, bias, leaky ReLU, style."""

    def __init__(self, before: nn.Module, width: int, size: tuple[int, int], style_dim: int) -> None:
        super().__init__()
        self.before = before
        self.noise = Noise(size, width)
        self.bias = nn.Parameter(torch.zeros(width, 1, 1))
        self.norm = AdaptiveInstanceNorm(width, style_dim)

    def forward(self, images: Tensor, styles: Tensor) -> Tensor:
        images = self.noise(self.before(images)) + self.bias
        return self.norm(functional.leaky_relu(images, 0.2), styles)


class Synthesis(Growing):
    """A learned constant, and two styled layers and a layer to RGB at each resolution. Arguments: see the generator."""

    def __init__(self, image_size: Size, channels: int, style_dim: int, channel_base: int, channel_max: int) -> None:
        super().__init__()
        sizes = self.add_stages(image_size, "stylegan")
        widths = [channels_at(min(size), channel_base, channel_max) for size in sizes]
        self.constant = nn.Parameter(torch.ones(1, widths[0], *sizes[0]))
        layers = []
        for size, before, width in zip(sizes, [widths[0], *widths], widths, strict=False):
            convolutions = [EqualisedConv2d(inputs, width, 3, bias=False) for inputs in (before, width)]
            first: nn.Module = nn.Identity()
            if size != sizes[0]:
                first = nn.Sequential(nn.Upsample(scale_factor=2), convolutions[0], Blur())
            layers += [_Layer(part, width, size, style_dim) for part in (first, convolutions[1])]
        self.layers = nn.ModuleList(layers)
        self.to_rgb = nn.ModuleList(EqualisedConv2d(width, channels, 1, gain=1.0) for width in widths)

    def forward(self, styles: Tensor) -> Tensor:
        """Map styles `(N, num_styles, style_dim)`, two for each resolution in use, to images."""
        before = maps = self.constant.expand(styles.shape[0], -1, -1, -1)
        for level in range(self.level + 1):
            before = maps
            for index in (2 * level, 2 * level + 1):
                maps = self.layers[index](maps, styles[:, index])
        images = self.to_rgb[self.level](maps)
        if self.fading:
            images = self.blend(nearest_upsample(self.to_rgb[self.level - 1](before)), images)
        return nearest_upsample(images, self.hidden_factor)


class StyleGANGenerator(StyleGenerator):
    """The style-based generator; it grows like ProGAN's.

    image_size: pixels, a power of two from 8 to 1024, or (height, width), see `halvings`.
    channel_base, channel_max: a layer at resolution r has channel_base / r channels, at most channel_max.
    num_classes: number of classes, 0 for none; the class embedding enters the mapping network beside z, each normalised
        separately as in StyleGAN2 (the authors' code of StyleGAN normalises the two as one vector).
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
        channel_base: int = 16384,
        channel_max: int = 512,
        mixing: float = 0.9,
    ) -> None:
        super().__init__()
        check_range("model.generator", 0, 1, mixing=mixing)
        self.latent_dim, self.num_classes, self.mixing = latent_dim, num_classes, mixing
        self.image_shape = (channels, *height_width(image_size))
        self.mapping = Mapping(latent_dim, num_classes, style_dim, mapping_layers)
        self.synthesis: Synthesis = Synthesis(image_size, channels, style_dim, channel_base, channel_max)

    @property
    def num_styles(self) -> int:
        """Number of styles: two for each resolution in use."""
        return 2 * self.synthesis.level + 2
