"""The exponential moving average of a network's weights; its half-life is in images."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class ExponentialMovingAverage:
    """Updates `target` as the moving average of `source`; buffers (batch-norm statistics) are copied.

    half_life: number of images after which an old value has half of its weight.
    rampup: the half-life is at most this share of the images seen, so that an early average does not keep the initial
        weights; None: no ramp. Karras et al. 2020, arXiv 2006.06676.
    """

    def __init__(self, source: nn.Module, target: nn.Module, half_life: float, rampup: float | None = 0.05) -> None:
        self.half_life, self.rampup = half_life, rampup
        self._averages: list[Tensor] = list(target.parameters())
        self._weights: list[Tensor] = list(source.parameters())
        self._copies, self._buffers = list(target.buffers()), list(source.buffers())

    @torch.no_grad()
    def update(self, images: int, images_seen: int) -> None:
        """Update the average after an iteration of `images` images; `images_seen` is the number before it."""
        half_life = self.half_life
        if self.rampup is not None:
            half_life = min(half_life, images_seen * self.rampup)
        beta = 0.5 ** (images / max(half_life, 1e-8))
        torch._foreach_lerp_(self._averages, self._weights, 1 - beta)
        if self._buffers:
            torch._foreach_copy_(self._copies, self._buffers)


def frozen_copy(network: Network) -> Network:
    """Return a copy whose parameters require no gradients."""
    return copy.deepcopy(network).requires_grad_(False)
