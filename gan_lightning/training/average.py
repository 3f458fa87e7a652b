"""The exponential moving average of a generator's weights, measured in images."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class ExponentialMovingAverage:
    """Keeps `target` the moving average of `source`; buffers (batch-norm statistics) are copied.

    half_life: images after which a weight's old value counts half.
    rampup: the half-life is at most this share of the images seen, so that the early average is no relic of the
        start; None is no ramp. Karras et al. 2020, arXiv 2006.06676.
    """

    def __init__(self, source: nn.Module, target: nn.Module, half_life: float, rampup: float | None = 0.05) -> None:
        self.half_life, self.rampup = half_life, rampup
        self._averages: list[Tensor] = list(target.parameters())
        self._weights: list[Tensor] = list(source.parameters())
        self._copies, self._buffers = list(target.buffers()), list(source.buffers())

    @torch.no_grad()
    def update(self, images: int, images_seen: int) -> None:
        """Move the average by one step of `images` images, `images_seen` in all before it."""
        half_life = self.half_life
        if self.rampup is not None:
            half_life = min(half_life, images_seen * self.rampup)
        beta = 0.5 ** (images / max(half_life, 1e-8))
        torch._foreach_lerp_(self._averages, self._weights, 1 - beta)
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)


def frozen_copy(network: Network) -> Network:
    """Return a copy that no optimiser and no backward touches."""
    return copy.deepcopy(network).requires_grad_(False)
