"""Minibatch discrimination: the discriminator sees how close a sample is to the others of its batch.

Salimans et al. 2016, arXiv 1606.03498.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import Backbone


class MinibatchDiscrimination(nn.Module):
    """o_b(i) = sum over j != i of exp(-|M_ib - M_jb|_1), M_i = T f_i: `(N, features)` -> `(N, kernels)`.

    Identical samples give N - 1. The batch is that of one process, or of one piece of an accumulated batch.

    kernels: how many o_b.
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
    """Any backbone, its features followed by those of minibatch discrimination."""

    def __init__(self, backbone: Backbone, kernels: int = 100, kernel_dim: int = 5) -> None:
        super().__init__()
        self.backbone = backbone
        self.closeness = MinibatchDiscrimination(backbone.feature_dim, kernels, kernel_dim)
        self.feature_dim = backbone.feature_dim + kernels
        self.head_bias, self.label_maps = backbone.head_bias, backbone.label_maps

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of images."""
        features = self.backbone(images)
        return torch.cat([features, self.closeness(features)], dim=1)

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise the head as the backbone does."""
        self.backbone.initialise_head(head)
