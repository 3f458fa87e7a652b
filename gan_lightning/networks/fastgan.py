"""FastGAN: Liu, Zhu, Song and Elgammal 2021, arXiv 2101.04775, for small data sets and little compute.

From the paper: one convolution at each resolution of the generator, with gated linear units; skip-layer excitation; a
residual discriminator with 5x5 logits, and two small decoders that reconstruct the image from its feature maps. From
the authors' released code: the channels up to 256 pixels, and spectral norm in both networks. The released code also
has parts that the paper does not have and that are left out here: a second, small output of the generator for a second,
small discriminator; noise inputs; a second convolution at every other resolution; excitation in the discriminator.
Convolutions without a norm have biases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.networks.base import (
    Backbone,
    DiscriminatorOutput,
    Generator,
    concatenate_labels,
    halvings,
    initialise_normal,
)
from gan_lightning.networks.discriminator import Discriminator, conditions, packed
from gan_lightning.networks.heads import Head, LinearHead
from gan_lightning.networks.layers.resample import average_pool
from gan_lightning.networks.layers.spectral import spectrally_normalise
from gan_lightning.sizes import Size, halved, height_width

MULTIPLES = {4: 16.0, 8: 8.0, 16: 4.0, 32: 2.0, 64: 2.0, 128: 1.0, 256: 0.5}
NARROW = 3  # channels from 512 pixels on
DECODED = 128  # pixels of the decoders' output
WINDOW = 4  # side of the window of the last feature map that one logit depends on


class SkipLayerExcitation(nn.Module):
    """high * gate(low): a small feature map scales the channels of one with a much higher resolution.

    The gate pools `low` to 4x4, a 4x4 convolution brings it to 1x1, leaky ReLU, 1x1 convolution, sigmoid.
    """

    def __init__(self, low_channels: int, high_channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4),
            nn.Conv2d(low_channels, high_channels, 4),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(high_channels, high_channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Map `(N, low_channels, h, w)` and `(N, high_channels, H, W)` to the shape of `high`."""
        return high * self.gate(low)


class FastGANGenerator(Generator):
    """A 4x4 map from z, then nearest upsampling by two and one convolution at each resolution; tanh last.

    A map of s pixels (on the shorter side) excites the map of 16 s pixels. Images of 32 pixels and below have no such
    map; there the factor is smaller.

    image_size: pixels, a power of two from 16 to 1024, or (height, width), see `halvings`.
    width: channels at 128 pixels; 16 times that at 4 pixels, half of it at 256, and 3 from 512 on.
    num_classes: number of classes, 0 for none; their one-hot code is concatenated to z (not in the paper).
    """

    def __init__(
        self, image_size: Size, channels: int, num_classes: int = 0, latent_dim: int = 256, width: int = 64
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.image_shape = (channels, *height_width(image_size))
        self.sizes = _sizes(image_size)
        widths = [_width(width, size) for size in self.sizes]
        first_size = halved(image_size, len(widths) - 1)
        first = nn.ConvTranspose2d(latent_dim + num_classes, 2 * widths[0], first_size, bias=False)
        self.first = nn.Sequential(first, nn.BatchNorm2d(2 * widths[0]), nn.GLU(1))
        self.blocks = nn.ModuleList([_doubling(before, after) for before, after in pairwise(widths)])
        span = min(16, self.sizes[-1] // 4)
        self.skips = {span * size: size for size in self.sizes if span * size <= self.sizes[-1]}
        pairs = {str(high): (_width(width, low), _width(width, high)) for high, low in self.skips.items()}
        self.excitations = nn.ModuleDict({name: SkipLayerExcitation(*pair) for name, pair in pairs.items()})
        self.last = nn.Sequential(nn.Conv2d(widths[-1], channels, 3, padding=1), nn.Tanh())
        initialise_normal(self)
        spectrally_normalise(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)` in [-1, 1]."""
        if self.num_classes:
            z = concatenate_labels(z, labels, self.num_classes)
        maps = {4: self.first(z[:, :, None, None])}
        for size, block in zip(self.sizes[1:], self.blocks, strict=True):
            maps[size] = block(maps[size // 2])
            if size in self.skips:
                maps[size] = self.excitations[str(size)](maps[self.skips[size]], maps[size])
        return self.last(maps[self.sizes[-1]])


class HalvingBlock(nn.Module):
    """Mean of two paths: 4x4 convolution with stride 2 and 3x3 convolution; pooling and 1x1 convolution.

    Each convolution is followed by a norm and an activation.
    """

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.main = nn.Sequential(*_convolution(inputs, outputs, 4, norm, 2), *_convolution(outputs, outputs, 3, norm))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), *_convolution(inputs, outputs, 1, norm))

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, inputs, H, W)` to `(N, outputs, H/2, W/2)`."""
        return (self.main(images) + self.shortcut(images)) / 2


class FastGANBackbone(Backbone):
    """Plain convolutions to 256 pixels, residual blocks to 8 pixels (4 for images of 16), then a 1x1 convolution.

    Arguments are those of FastGANGenerator, and
    norm: "batch" as in the paper; "layer" or "none" with a gradient penalty, since batch norm couples samples.
    """

    def __init__(
        self, image_size: Size, channels: int, label_maps: int = 0, width: int = 64, norm: str = "batch"
    ) -> None:
        super().__init__()
        self.label_maps, self.side, self.channels = label_maps, _sizes(image_size)[-1], channels
        self.smallest = min(8, self.side // 4)
        self.last_size = halved(image_size, (self.side // self.smallest).bit_length() - 1)
        sizes = [size for size in _sizes(image_size)[::-1] if size >= self.smallest]
        widths = [channels + label_maps, *(_width(width, size) for size in sizes[1:])]
        layers: list[nn.Module] = []
        for size, (before, after) in zip(sizes[1:], pairwise(widths), strict=True):
            if size == sizes[1]:
                layers += _convolution(before, after, 4, "none", 2)
            elif size >= 256:
                layers += _convolution(before, after, 4, norm, 2)
            else:
                layers.append(HalvingBlock(before, after, norm))
        self.trunk, self.halve = nn.Sequential(*layers[:-1]), layers[-1]
        self.last = nn.Sequential(*_convolution(widths[-1], widths[-1], 1, norm), nn.Flatten())
        self.map_widths = widths[-2], widths[-1]
        self.feature_dim = widths[-1] * math.prod(self.last_size)
        initialise_normal(self)
        spectrally_normalise(self)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last two feature maps, of 16 and 8 pixels."""
        larger = self.trunk(images)
        return larger, self.halve(larger)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)`, the last map flattened, of images `(N, C + label_maps, H, W)`."""
        return self.last(self.maps(images)[1])

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise and normalise the head like the backbone, except embeddings, which may start at zero."""
        initialise_normal(head)
        spectrally_normalise(head, skip=(nn.Embedding,))


class PatchHead(Head):
    """One logit for each 4x4 window of a feature map: `(N, h, w)`.

    feature_dim: size of the flattened map. side: side of the map in pixels, or its height and width.
    """

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True, side: Size = 8) -> None:
        self.size = height_width(side, "side")
        super().__init__(feature_dim // math.prod(self.size) * WINDOW**2, num_classes, bias)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N, height - 3, width - 3)`."""
        maps = features.unflatten(1, (-1, *self.size))
        weight = self.linear.weight.unflatten(1, (maps.shape[1], WINDOW, WINDOW))
        return DiscriminatorOutput(functional.conv2d(maps, weight, self.linear.bias).squeeze(1), features)


class FastGANDiscriminator(Discriminator):
    """A FastGANBackbone with a head, and the decoders for regularizer=reconstruction.

    head: LinearHead is replaced by the paper's PatchHead (5x5 logits of 4x4 windows); others get the flattened map.
    pack: number of images that are judged together, see Discriminator; they are also decoded together.
    """

    def __init__(self, backbone: FastGANBackbone, head: Callable[..., Head] = LinearHead, pack: int = 1) -> None:
        plain = getattr(head, "func", head) is LinearHead
        super().__init__(backbone, partial(PatchHead, side=backbone.last_size) if plain else head, pack)
        assert isinstance(self.backbone, FastGANBackbone)
        backbone = self.backbone  # packs have a new one
        larger, smaller = backbone.map_widths
        self.part_size, self.whole_size = min(DECODED, backbone.side // 2), min(DECODED, backbone.side)
        self.part_decoder = _decoder(larger, backbone.channels, backbone.smallest, self.part_size)
        self.whole_decoder = _decoder(smaller, backbone.channels, backbone.smallest, self.whole_size)

    def forward(
        self, images: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Score images `(N, C, H, W)`; the extras "images", "larger map" and "smaller map" are for `reconstruct`."""
        assert isinstance(self.backbone, FastGANBackbone)
        images = packed(images, self.pack)
        shown = concatenate_labels(images, labels, self.backbone.label_maps) if self.backbone.label_maps else images
        conditions(self.backbone, condition)
        larger, smaller = self.backbone.maps(shown)
        output = self.head(self.backbone.last(smaller), labels)
        output.extras |= {"images": images, "larger map": larger, "smaller map": smaller}
        return output

    def reconstruct(self, output: DiscriminatorOutput, which: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return two pairs (decoded, true) for the images of this forward pass: whole images, and one quadrant of each.

        which: `(N,)`, the quadrant, 0 to 3, that is decoded from the same quadrant of the larger map. For packs, the
            first N / pack numbers are used.
        """
        images, larger, smaller = (output.extras[name] for name in ("images", "larger map", "smaller map"))
        whole = average_pool(images, min(images.shape[2:]) // self.whole_size)
        which = which[: len(images)]
        part = quadrants(images, which)
        part = average_pool(part, min(part.shape[2:]) // self.part_size)
        return [(self.whole_decoder(smaller), whole), (self.part_decoder(quadrants(larger, which)), part)]


def quadrants(images: Tensor, which: Tensor) -> Tensor:
    """Return the quadrant `which` `(N,)` of each of `(N, C, H, W)`: top left, top right, bottom left, bottom right."""
    parts = images.unflatten(3, (2, -1)).unflatten(2, (2, -1)).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    return parts[torch.arange(len(images), device=images.device), which]


def _sizes(image_size: Size) -> list[int]:
    """Return the shorter sides of the maps, smallest first."""
    return [4 * 2**k for k in range(halvings(image_size, "fastgan", smallest=16, largest=1024) + 1)]


def _width(width: int, size: int) -> int:
    return max(int(width * MULTIPLES[size]), 1) if size in MULTIPLES else NARROW


def _doubling(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Upsample(scale_factor=2),
        nn.Conv2d(inputs, 2 * outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * outputs),
        nn.GLU(1),
    )


def _convolution(inputs: int, outputs: int, kernel_size: int, norm: str, stride: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps or halves the size, its norm, and leaky ReLU 0.2."""
    norms: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm2d, "layer": partial(nn.GroupNorm, 1)}
    if norm not in ("none", *norms):
        raise UserError(f"norm={norm} is not known to fastgan: choose one of batch, layer, none.")
    padding = (kernel_size - stride + 1) // 2
    layer = nn.Conv2d(inputs, outputs, kernel_size, stride, padding, bias=norm == "none")
    return [layer, *([norms[norm](outputs)] if norm in norms else []), nn.LeakyReLU(0.2)]


def _decoder(inputs: int, channels: int, start: int, size: int) -> nn.Module:
    """Return a convolution for each doubling from `start` to `size` pixels (at most four), and one to the image."""
    width = max(inputs // 2, 1)
    layers = [_doubling(inputs, width)]
    while start * 2 ** len(layers) < size:
        layers.append(_doubling(width, max(width // 2, 1)))
        width = max(width // 2, 1)
    decoder = nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())
    initialise_normal(decoder)
    spectrally_normalise(decoder)
    return decoder
