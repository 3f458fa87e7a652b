"""Minibatch discrimination: the discriminator sees how close a sample is to the others of its batch.

Salimans et al. 2016, arXiv 1606.03498.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import Backbone
from gan_lightning.networks.layers.spectral import full_precision


class MinibatchDiscrimination(nn.Module):
    """o_b(i) = sum over j != i of exp(-|M_ib - M_jb|_1), M_i = T f_i: `(N, features)` -> `(N, kernels)`.

    Identical samples give N - 1. N is the batch of one process, or of one accumulation step.

    kernels: number of o_b.
    kernel_dim: numbers in each M_ib.
    """

    def __init__(self, features: int, kernels: int = 100, kernel_dim: int = 5) -> None:
        super().__init__()
        self.kernels = kernels
        self.linear = nn.Linear(features, kernels * kernel_dim, bias=False)
        nn.init.normal_(self.linear.weight, 0.0, 1 / math.sqrt(features))

    def forward(self, features: Tensor) -> Tensor:
        """Return the closeness of each sample to the others."""
        projected = self.linear(features).unflatten(1, (self.kernels, -1))
        distances = (projected[:, None] - projected[None]).abs().sum(3)
        return torch.exp(-distances).sum(1) - 1  # j = i gives 1


class WithMinibatchDiscrimination(Backbone):
    """Any backbone; minibatch discrimination is appended to its features, at the same scale.

    The features of different backbones differ in scale by a factor of a thousand, and N differs between runs. So the
    features are divided by their root mean square over the whole batch; a collapsed batch still has a small spread.
    Each o_b becomes the mean over the other samples, minus 1/2, times this root mean square: plus half of it for
    identical samples, minus half of it for samples that are far apart.
    """

    def __init__(self, backbone: Backbone, kernels: int = 100, kernel_dim: int = 5) -> None:
        super().__init__()
        self.backbone = backbone
        self.closeness = MinibatchDiscrimination(backbone.feature_dim, kernels, kernel_dim)
        self.feature_dim = backbone.feature_dim + kernels
        self.head_bias, self.label_maps = backbone.head_bias, backbone.label_maps

    @property
    def takes_condition(self) -> bool:  # type: ignore[override]
        """Whether the backbone uses a condition."""
        return self.backbone.takes_condition

    def forward(self, images: Tensor, *condition: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images."""
        features = self.backbone(images, *condition)
        with full_precision(features.device):  # half precision loses the differences of similar features
            values = features.float()
            size = (values.square().mean() + 1e-12).sqrt()
            closeness = self.closeness(values / size) / max(len(values) - 1, 1)
            closeness = size * (closeness - 0.5)
        return torch.cat([features, closeness.to(features.dtype)], dim=1)

    def stages(self) -> list[list[nn.Module]]:
        """Return the backbone's stages, then the minibatch layer's."""
        return [*self.backbone.stages(), [self.closeness]]

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise the head as the backbone does."""
        self.backbone.initialise_head(head)
