"""ProGAN: Karras et al. 2017, arXiv 1710.10196, with the authors' channels and initial weights.

At 1024x1024, with the RGB layers of all stages: 23,079,115 parameters in the generator, 23,087,249 in the
discriminator.
"""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from gan_lightning.networks.base import Backbone, Generator, concatenate_labels
from gan_lightning.networks.growing import Growing, channels_at
from gan_lightning.networks.layers.equalised import HE, EqualisedConv2d, EqualisedLinear, equalise_head
from gan_lightning.networks.layers.minibatch import minibatch_stddev
from gan_lightning.networks.layers.pixel_norm import PixelNorm, pixel_norm
from gan_lightning.networks.layers.resample import Blur, average_pool, nearest_upsample
from gan_lightning.sizes import Size, height_width


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [EqualisedConv2d(inputs, outputs, 3), nn.LeakyReLU(0.2), PixelNorm()]


class ProGANGenerator(Growing, Generator):
    """Two 3x3 convolutions and a 1x1 convolution to RGB at each resolution, nearest upsampling between them.

    image_size: pixels, a power of two from 8 to 1024, or (height, width), see `halvings`.
    num_classes: number of classes, 0 for none; their one-hot code is concatenated to z.
    channel_base, channel_max: a layer at resolution r has channel_base / r channels, at most channel_max.
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int = 512,
        channel_base: int = 16384,
        channel_max: int = 512,
    ) -> None:
        super().__init__()
        sizes = self.add_stages(image_size, "progan")
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.image_shape = (channels, *height_width(image_size))
        widths = [channels_at(min(size), channel_base, channel_max) for size in sizes]
        self.first_shape = (widths[0], *sizes[0])
        self.dense = EqualisedLinear(latent_dim + num_classes, math.prod(self.first_shape), bias=False, gain=HE / 4)
        self.dense_bias = nn.Parameter(self.dense.weight.new_zeros(widths[0], 1, 1))
        first = nn.Sequential(nn.LeakyReLU(0.2), PixelNorm(), *_convolution(widths[0], widths[0]))
        later = [nn.Sequential(*_convolution(one, two), *_convolution(two, two)) for one, two in pairwise(widths)]
        self.blocks = nn.ModuleList([first, *later])
        self.to_rgb = nn.ModuleList(EqualisedConv2d(width, channels, 1, gain=1.0) for width in widths)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)`, about in [-1, 1]."""
        if self.num_classes:
            z = concatenate_labels(z, labels, self.num_classes)
        maps = self.dense(pixel_norm(z)).unflatten(1, self.first_shape) + self.dense_bias
        before = maps = self.blocks[0](maps)
        for level in range(1, self.level + 1):
            before, maps = maps, self.blocks[level](nearest_upsample(maps))
        images = self.to_rgb[self.level](maps)
        if self.fading:
            images = self.blend(nearest_upsample(self.to_rgb[self.level - 1](before)), images)
        return nearest_upsample(images, self.hidden_factor)


class ProGANBackbone(Growing, Backbone):
    """The generator in reverse, with average pooling; then minibatch standard deviation and two linear layers.

    At an earlier stage, full-size images are first downsampled to the stage's size.

    blur: low-pass filter before each halving, as in StyleGAN (Karras et al. 2018, arXiv 1812.04948).
    group_size: samples in a group of the minibatch standard deviation; 0 leaves the layer out.
    label_maps: number of one-hot label maps that are concatenated to the image (see Discriminator).
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        channel_base: int = 16384,
        channel_max: int = 512,
        blur: bool = False,
        group_size: int = 4,
    ) -> None:
        super().__init__()
        sizes = self.add_stages(image_size, "stylegan" if blur else "progan")
        widths = [channels_at(min(size), channel_base, channel_max) for size in sizes]
        self.label_maps, self.feature_dim = label_maps, widths[0]
        self.from_rgb = nn.ModuleList(_from_rgb(channels + label_maps, width) for width in widths)
        pairs = zip(widths[1:], widths, strict=False)
        self.blocks = nn.ModuleList(_halving(inputs, outputs, blur) for inputs, outputs in pairs)
        self.last = _last_layers(widths[0], math.prod(sizes[0]), group_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images `(N, C + label_maps, H, W)`."""
        images = average_pool(images, self.hidden_factor)
        maps = self.from_rgb[self.level](images)
        for level in range(self.level, 0, -1):
            maps = self.blocks[level - 1](maps)
            if self.fading and level == self.level:
                maps = self.blend(self.from_rgb[level - 1](average_pool(images)), maps)
        return self.last(maps) * self.feature_dim**-0.5  # the head's weights have unit variance

    def stages(self) -> list[list[nn.Module]]:
        """Return the layers of each resolution, largest first, then the last layers."""
        largest_first = zip(reversed(self.from_rgb[1:]), reversed(self.blocks), strict=True)
        return [*map(list, largest_first), [self.from_rgb[0], self.last]]

    def initialise_head(self, head: nn.Module) -> None:
        """Draw the head's weights from N(0, 1)."""
        equalise_head(head)


def _from_rgb(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(EqualisedConv2d(inputs, outputs, 1), nn.LeakyReLU(0.2))


def _halving(inputs: int, outputs: int, blur: bool) -> nn.Module:
    return nn.Sequential(
        EqualisedConv2d(inputs, inputs, 3),
        nn.LeakyReLU(0.2),
        Blur() if blur else nn.Identity(),
        EqualisedConv2d(inputs, outputs, 3),
        nn.AvgPool2d(2),
        nn.LeakyReLU(0.2),
    )


def _last_layers(width: int, pixels: int, group_size: int) -> nn.Module:
    return nn.Sequential(
        minibatch_stddev(group_size),
        EqualisedConv2d(width + bool(group_size), width, 3),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        EqualisedLinear(width * pixels, width, gain=HE),
        nn.LeakyReLU(0.2),
    )
