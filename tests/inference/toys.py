"""A generator and a discriminator whose laws are known."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import Generator


class Line(Generator):
    """Makes points of N(0, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.latent_dim, self.image_shape = 1, (1,)
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return z + self.shift


class Judge(nn.Module):
    """Knows the density ratio of any two laws."""

    def __init__(self, log_ratio: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.log_ratio = log_ratio

    def forward(self, points: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.log_ratio(points[:, 0])
