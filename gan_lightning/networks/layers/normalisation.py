"""Conditional normalisation, and a sequence of layers that passes the condition on."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gan_lightning.errors import UserError


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm with gain 1 + W c and shift V c for condition c; W = V = 0 at first, so plain batch norm.

    De Vries et al. 2017, arXiv 1707.00683; for classes Dumoulin et al. 2016, arXiv 1610.07629. If the condition is a
    one-hot class, W and V are tables of gains and shifts for each class.
    """

    takes_condition: ClassVar[bool] = True

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Linear(condition_dim, channels, bias=False)
        self.shift = nn.Linear(condition_dim, channels, bias=False)
        nn.init.zeros_(self.gain.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Normalise `(N, C, H, W)` under conditions `(N, condition_dim)`."""
        gain, shift = 1 + self.gain(condition), self.shift(condition)
        return self.norm(inputs) * gain[:, :, None, None] + shift[:, :, None, None]


def batch_norm(channels: int, condition_dim: int = 0) -> nn.Module:
    """Return batch norm, conditional if the condition's dimension is not 0."""
    return ConditionalBatchNorm2d(channels, condition_dim) if condition_dim else nn.BatchNorm2d(channels)


class ConditionalSequential(nn.Sequential):
    """Like nn.Sequential; layers with `takes_condition` also get the condition."""

    takes_condition: ClassVar[bool] = True

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """Pass `inputs` through all layers, with conditions `(N, condition_dim)`."""
        for layer in self:
            inputs = layer(inputs, condition) if getattr(layer, "takes_condition", False) else layer(inputs)
        return inputs


def condition_dim(conditioning: str, num_classes: int) -> int:
    """Return the dimension of the conditional norms' condition: num_classes, or 0 if labels enter elsewhere."""
    if conditioning not in ("concat", "batch_norm"):
        raise UserError(f"conditioning={conditioning} is not known to the generator: choose concat or batch_norm.")
    return num_classes if conditioning == "batch_norm" else 0
