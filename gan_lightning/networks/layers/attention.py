"""Self-attention over the positions of a feature map: Zhang et al. 2018, arXiv 1805.08318."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d


class SelfAttention(nn.Module):
    """y = x + gamma * out(attention-weighted values), `(N, C, H, W)`; gamma starts at 0, so that y = x.

    1.25 C^2 + 1 parameters: queries and keys have C/8 channels, values C/2.

    pooled: keys and values are 2x2 max-pooled, as in the authors' code; this needs a quarter of the memory.
    """

    def __init__(self, channels: int, pooled: bool = True) -> None:
        super().__init__()
        few, half = max(channels // 8, 1), max(channels // 2, 1)
        self.query = nn.Conv2d(channels, few, 1, bias=False)
        self.key = nn.Conv2d(channels, few, 1, bias=False)
        self.value = nn.Conv2d(channels, half, 1, bias=False)
        self.out = nn.Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))
        self.pooled = pooled

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the map `(N, C, H, W)` plus the attention's output."""
        values = self._positions(self.value(inputs))
        gathered = (self.weights(inputs) @ values).mT.unflatten(2, inputs.shape[2:])
        return inputs + self.gamma * self.out(gathered)

    def weights(self, inputs: Tensor) -> Tensor:
        """Return the attention weights `(N, HW, keys)`; rows sum to 1."""
        queries = self.query(inputs).flatten(2).mT
        return (queries @ self._positions(self.key(inputs)).mT).softmax(2)

    def _positions(self, maps: Tensor) -> Tensor:
        """Return keys or values by position, `(N, keys, channels)`."""
        return (max_pool2d(maps, 2) if self.pooled else maps).flatten(2).mT
