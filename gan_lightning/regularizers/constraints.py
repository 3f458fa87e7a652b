"""Constraints applied after a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.regularizers.base import Constraint


class WeightClipping(Constraint):
    """Clips every parameter of the critic, batch-norm scales too, to [-limit, limit].

    Arjovsky, Chintala and Bottou 2017, arXiv 1701.07875.
    """

    def __init__(self, limit: float = 0.01) -> None:
        if limit <= 0:
            raise UserError(f"regularizer.weight_clipping.limit={limit} is out of range: it is above 0, usually 0.01.")
        self.limit = limit

    @torch.no_grad()
    def apply(self, network: nn.Module) -> None:
        """Clip the parameters of `network` in place."""
        parameters: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
        torch._foreach_clamp_min_(parameters, -self.limit)
        torch._foreach_clamp_max_(parameters, self.limit)
