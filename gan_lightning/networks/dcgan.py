"""DCGAN: Radford, Metz and Chintala 2015, arXiv 1511.06434, with the widths of the authors' Torch release.

At 64x64 with width 64: 3,576,704 parameters in the generator, 2,765,568 in the discriminator.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_lightning.errors import UserError
from gan_lightning.networks.base import (
    Backbone,
    Generator,
    concatenate_labels,
    halvings,
    initialise_normal,
    required,
)
from gan_lightning.networks.layers.normalisation import ConditionalSequential, batch_norm, condition_dim
from gan_lightning.networks.layers.spectral import normalise_head
from gan_lightning.sizes import Size, halved, height_width


def _widths(image_size: Size, width: int, max_width: int, network: str) -> list[int]:
    """Return the channels from the layer next to the image (width) to the smallest one; each has twice as many."""
    return [min(width * 2**k, max_width) for k in range(halvings(image_size, network))]


def _norm(name: str, channels: int, condition_dim: int = 0) -> nn.Module:
    layers: dict[str, Callable[[int], nn.Module]] = {
        "batch": lambda channels: batch_norm(channels, condition_dim),
        "layer": lambda channels: nn.GroupNorm(1, channels),
        "none": lambda channels: nn.Identity(),
    }
    if name not in layers:
        raise UserError(f"norm={name} is not known to dcgan: choose one of {', '.join(layers)}.")
    if condition_dim and name != "batch":
        raise UserError(f"conditioning=batch_norm needs norm=batch in the generator, not {name}: set one of the two.")
    return layers[name](channels)


class _FromLatent(nn.ConvTranspose2d):
    """The first transposed convolution as a matrix product, since its input is one pixel; much faster on a CPU.

    size: height and width of its map.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], bias: bool) -> None:
        super().__init__(inputs, outputs, size, bias=bias)
        self.size = size

    def forward(self, z: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map z `(N, inputs)` to `(N, outputs, *size)`, in channels-last memory."""
        pixels = z @ self.weight.permute(0, 2, 3, 1).flatten(1)
        pixels = pixels.unflatten(1, (*self.size, self.out_channels))
        return (pixels if self.bias is None else pixels + self.bias).permute(0, 3, 1, 2)


class DCGANGenerator(Generator):
    """Transposed 4x4 convolutions from a latent to an image, batch norm and ReLU between, tanh last.

    image_size: pixels, a power of two from 8 to 256, or (height, width), see `halvings`.
    channels: 1 or 3.
    width: channels of the layer next to the image; doubles with each halving up to max_width.
    num_classes: number of classes, 0 for none.
    conditioning: "concat" concatenates classes to z (Mirza 2014); "batch_norm" lets them set gain and shift of norms.
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int = 100,
        width: int = 64,
        max_width: int = 1024,
        norm: str = "batch",
        latent_distribution: str = "normal",
        conditioning: str = "concat",
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = latent_dim, num_classes
        self.image_shape = (channels, *height_width(image_size))
        self.latent_distribution = latent_distribution
        widths = _widths(image_size, width, max_width, "dcgan")[::-1]
        self.condition_dim = condition_dim(conditioning, num_classes)
        inputs, bias = latent_dim + num_classes - self.condition_dim, norm == "none"
        layers: list[nn.Module] = [_FromLatent(inputs, widths[0], halved(image_size, len(widths)), bias)]
        for before, after in zip(widths, [*widths[1:], channels], strict=True):
            layers += [_norm(norm, before, self.condition_dim), nn.ReLU(inplace=True)]
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=bias)]
        self.layers = ConditionalSequential(*layers, nn.Tanh())
        initialise_normal(self)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)` in [-1, 1]."""
        condition = None
        if self.condition_dim:
            condition = one_hot(required(labels), self.num_classes).to(z.dtype)
        elif self.num_classes:
            z = concatenate_labels(z, labels, self.num_classes)
        return self.layers(z, condition)


class DCGANBackbone(Backbone):
    """Strided 4x4 convolutions with leaky ReLU 0.2, no norm on the first; a head makes the logits.

    norm: "batch" as in the paper; "layer" or "none" with a gradient penalty, since batch norm couples samples.
    spectral_norm: on all weights, including the head's; with norm "none" this is SNGAN's network (Miyato et al. 2018,
        arXiv 1802.05957).
    label_maps: number of one-hot label maps that are concatenated to the image (see Discriminator).
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        width: int = 64,
        max_width: int = 1024,
        norm: str = "batch",
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = _widths(image_size, width, max_width, "dcgan")
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip([channels + label_maps, *widths], widths, strict=False)):
            layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none" and index > 0))
            layers += [_norm(norm, after)] if index else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers)
        self.feature_dim = widths[-1] * math.prod(halved(image_size, len(widths)))
        self.head_bias, self.label_maps = norm == "none", label_maps
        self.spectral_norm = spectral_norm
        self.initialise_head(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images `(N, C + label_maps, H, W)`."""
        return self.layers(images).permute(0, 2, 3, 1).flatten(1)  # no copy in channels-last memory

    def initialise_head(self, head: nn.Module) -> None:
        """Draw and normalise the head's weights as the backbone's own, as in the paper."""
        initialise_normal(head)
        if self.spectral_norm:
            normalise_head(head)
