"""The first GAN: Goodfellow et al. 2014, arXiv 1406.2661, with its released MNIST configuration.

At 28x28 grey: 2,503,984 parameters in the generator, 1,231,441 in the discriminator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import Backbone, Generator, concatenate_labels
from gan_lightning.networks.layers.spectral import normalise_head
from gan_lightning.sizes import Size, height_width


class MLPGenerator(Generator):
    """ReLU layers from uniform z to an image with sigmoid, rescaled to [-1, 1].

    hidden: widths of the ReLU layers.
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        num_classes: int = 0,
        latent_dim: int = 100,
        hidden: Sequence[int] = (1200, 1200),
        latent_distribution: str = "uniform",
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.latent_distribution = latent_dim, num_classes, latent_distribution
        self.image_shape = (channels, *height_width(image_size))
        widths = [latent_dim + num_classes, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], math.prod(self.image_shape)))
        _initialise_uniform(self, 0.05)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)` in [-1, 1]."""
        if self.num_classes:
            z = concatenate_labels(z, labels, self.num_classes)
        return torch.tanh(self.layers(z) / 2).unflatten(1, self.image_shape)  # 2 sigmoid(x) - 1 = tanh(x / 2)


class Maxout(nn.Module):
    """The maximum over `pieces` linear maps, `(N, inputs)` -> `(N, outputs)`. Goodfellow et al. 2013, 1302.4389."""

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.linear = nn.Linear(inputs, outputs * pieces)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the maximum of the pieces of each output."""
        return self.linear(inputs).unflatten(1, (-1, self.pieces)).amax(2)


class MLPBackbone(Backbone):
    """Two maxout layers with dropout, which keeps 0.8 of the inputs and 0.5 of the hidden units.

    spectral_norm: on all weights, including the head's (Miyato et al. 2018, arXiv 1802.05957).
    """

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        hidden: Sequence[int] = (240, 240),
        pieces: int = 5,
        input_dropout: float = 0.2,
        dropout: float = 0.5,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [(channels + label_maps) * math.prod(height_width(image_size)), *hidden]
        layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(input_dropout)]
        for before, after in pairwise(widths):
            layers += [Maxout(before, after, pieces), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.feature_dim, self.label_maps, self.spectral_norm = widths[-1], label_maps, spectral_norm
        self.initialise_head(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images `(N, C + label_maps, H, W)`."""
        return self.layers(images)

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise and normalise the head's weights like those of the layers."""
        _initialise_uniform(head, 0.005)
        if self.spectral_norm:
            normalise_head(head)


def _initialise_uniform(module: nn.Module, bound: float) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.uniform_(layer.weight, -bound, bound)
            nn.init.zeros_(layer.bias)
