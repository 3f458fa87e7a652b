"""Equalised learning rate: weights are stored with unit variance and scaled when they are used.

Karras et al. 2017, arXiv 1710.10196: Adam's steps do not depend on the size of gradients, so they then have the same
relative size in every layer. With `gain` 1 the output of independent inputs of unit variance has unit variance.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

HE = math.sqrt(2)  # the gain that compensates a rectifier


class EqualisedLinear(nn.Module):
    """Linear layer with weights N(0, 1) times gain / sqrt(inputs).

    lr_multiplier: factor on the layer's learning rate; the initial output does not change.
    bias_value: the bias at the start.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        bias: bool = True,
        gain: float = 1.0,
        lr_multiplier: float = 1.0,
        bias_value: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias_value / lr_multiplier)) if bias else None
        self.scale, self.lr_multiplier = gain * lr_multiplier / math.sqrt(inputs), lr_multiplier

    def forward(self, values: Tensor) -> Tensor:
        """Map `(N, inputs)` to `(N, outputs)`."""
        bias = self.bias * self.lr_multiplier if self.bias is not None else None
        return functional.linear(values, self.weight * self.scale, bias)


class EqualisedConv2d(nn.Module):
    """Convolution with weights N(0, 1) times gain / sqrt(fan in), bias 0 at the start, "same" padding by default."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        bias: bool = True,
        gain: float = HE,
        stride: int = 1,
        padding: int | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = gain / math.sqrt(inputs * kernel_size**2)
        self.stride, self.padding = stride, kernel_size // 2 if padding is None else padding

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, inputs, H, W)` to `(N, outputs, H', W')`."""
        return functional.conv2d(images, self.weight * self.scale, self.bias, self.stride, self.padding)


def equalise_head(head: nn.Module) -> None:
    """Draw the weights of the head's layers that take the features from N(0, 1); the backbone scales by 1 / sqrt(F).

    These layers are the first linear layer in each part of the head. Later layers have inputs of unit size.
    """
    for part in head.children():
        first = next((layer for layer in part.modules() if isinstance(layer, nn.Linear)), None)
        if first is not None:
            nn.init.normal_(first.weight)
            if first.bias is not None:
                nn.init.zeros_(first.bias)
