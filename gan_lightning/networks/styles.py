"""Shared parts of StyleGAN and StyleGAN2: mapping of latents to styles (one for each layer), style mixing, noise.

Karras et al. 2018, arXiv 1812.04948. `generator.styles(z)` and `generator.synthesis(styles)` are the two halves of
`forward`. Styles can be edited between them, for truncation, style mixing, interpolation and path length.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.networks.base import Generator
from gan_lightning.networks.layers.equalised import HE, EqualisedLinear
from gan_lightning.networks.layers.pixel_norm import pixel_norm


class Mapping(nn.Module):
    """Linear layers from z, a class embedding, or both to w; each input is normalised first.

    latent_dim: dimension of z, 0 for no z.
    num_classes: 0 for none.
    lr_multiplier: factor on these layers' learning rate.
    average_decay: decay of the moving average of w (buffer `w_avg`) for each training batch.
    gain_after: True applies the gain sqrt 2 after each activation, so to weights and biases (StyleGAN2's code). False
        applies it only to the weights (StyleGAN's code), and the biases then learn more slowly.
    """

    w_avg: Tensor

    def __init__(
        self,
        latent_dim: int,
        num_classes: int,
        style_dim: int,
        num_layers: int = 8,
        lr_multiplier: float = 0.01,
        average_decay: float = 0.995,
        gain_after: bool = False,
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.average_decay = latent_dim, num_classes, average_decay
        self.embedding = EqualisedLinear(num_classes, style_dim) if num_classes else None
        widths = [latent_dim + (style_dim if num_classes else 0), *[style_dim] * num_layers]
        gain, activation = (1.0, ScaledLeakyReLU()) if gain_after else (HE, nn.LeakyReLU(0.2))
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [EqualisedLinear(inputs, outputs, gain=gain, lr_multiplier=lr_multiplier), activation]
        self.layers = nn.Sequential(*layers)
        self.register_buffer("w_avg", torch.zeros(style_dim))

    def forward(self, z: Tensor | None, labels: Tensor | None = None, track: bool = False) -> Tensor:
        """Map z `(N, latent_dim)` and labels `(N,)` to w `(N, style_dim)`; `track` updates the average in training."""
        inputs = [pixel_norm(z)] if z is not None else []
        if self.embedding is not None:
            inputs.append(pixel_norm(self.embedding(self._codes(labels))))
        w = self.layers(torch.cat(inputs, 1))
        if track and self.training:
            with torch.no_grad():
                self.w_avg.lerp_(w.float().mean(0), 1 - self.average_decay)
        return w

    def _codes(self, labels: Tensor | None) -> Tensor:
        if labels is None:
            raise UserError("A network with classes got no labels: give them, or build it with num_classes=0.")
        return functional.one_hot(labels, self.num_classes).float()


class StyleGenerator(Generator):
    """Base class of generators made of a `mapping` and a `synthesis`; subclasses set both.

    mixing: share of training images whose later layers get the styles of a second latent.
    num_styles: number of styles for one image, one for each layer in use.
    """

    mapping: Mapping
    synthesis: nn.Module
    mixing: float

    @property
    def num_styles(self) -> int:
        """Number of styles for one image."""
        raise NotImplementedError

    def forward(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        second: Tensor | None = None,
        crossover: Tensor | None = None,
    ) -> Tensor:
        """Map z `(N, latent_dim)` to images `(N, C, H, W)`, about in [-1, 1]; see `styles`."""
        return self.synthesis(self.styles(z, labels, second, crossover))

    def styles(
        self,
        z: Tensor,
        labels: Tensor | None = None,
        second: Tensor | None = None,
        crossover: Tensor | None = None,
    ) -> Tensor:
        """Return the styles `(N, num_styles, style_dim)` of z: the same w for every layer.

        From layer number `crossover` `(N,)` on, they are the styles of the latents `second` `(N, latent_dim)`, with the
        InfoGAN codes of z.
        """
        w = self.mapping(z, labels, track=True)[:, None]
        if second is not None and crossover is not None:
            if self.codes is not None:  # InfoGAN's head predicts them from the whole image
                second = torch.cat([self.codes.split(second)[0], self.codes.split(z)[1]], dim=1)
            layers = torch.arange(self.num_styles, device=z.device)
            first = (layers < crossover[:, None])[:, :, None]
            return torch.where(first, w, self.mapping(second, labels)[:, None])
        return w.expand(-1, self.num_styles, -1)

    def training_inputs(self, count: int, stream: torch.Generator) -> dict[str, Tensor]:
        """Draw second latents and crossovers, 1 to num_styles - 1; num_styles where nothing is mixed."""
        if not self.mixing:
            return {}
        options: dict[str, Any] = {"generator": stream, "device": stream.device}
        crossover = torch.randint(1, self.num_styles, (count,), **options)
        mixed = torch.rand(count, **options) < self.mixing
        second = torch.randn(count, self.latent_dim, **options)
        return {"second": second, "crossover": crossover.where(mixed, self.num_styles)}


class Noise(nn.Module):
    """Adds independent noise to each pixel, the same for all channels, times a learned strength that starts at 0.

    In training the noise is new at each forward, from PyTorch's global random state, which the engine seeds for each
    iteration and process. In evaluation it is the fixed buffer `constant`, so that an image depends only on its latent.

    size: height and width of the images.
    channels: number of strengths, 1 or one for each channel.
    """

    constant: Tensor

    def __init__(self, size: tuple[int, int], channels: int = 1) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels, 1, 1))
        self.register_buffer("constant", torch.randn(size))

    def forward(self, images: Tensor) -> Tensor:
        """Add noise to `(N, C, H, W)`."""
        noise = self.constant
        if self.training:
            noise = torch.randn(len(images), 1, *images.shape[2:], device=images.device)
        return images + (self.strength * noise).to(images.dtype)


class ScaledLeakyReLU(nn.Module):
    """Leaky ReLU 0.2 times sqrt 2; the second moment stays about the same."""

    def forward(self, values: Tensor) -> Tensor:
        """Apply the activation to a tensor of any shape."""
        return functional.leaky_relu(values, 0.2) * math.sqrt(2)
