"""Constraints applied after a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_lightning.contracts import Duel
from gan_lightning.errors import UserError
from gan_lightning.networks.layers.equalised import EqualisedConv2d, EqualisedLinear
from gan_lightning.networks.layers.spectral import is_normalised
from gan_lightning.regularizers.base import Constraint


class WeightClipping(Constraint):
    """Clips every parameter of the critic, including batch-norm scales, to [-limit, limit].

    Arjovsky, Chintala and Bottou 2017, arXiv 1701.07875.
    """

    def __init__(self, limit: float = 0.01) -> None:
        if limit <= 0:
            raise UserError(f"regularizer.weight_clipping.limit={limit} is out of range: it is above 0, usually 0.01.")
        self.limit = limit

    def check(self, name: str, duel: Duel) -> None:
        """Raise UserError if the critic rescales its stored weights: spectral norm or equalised learning rate."""
        for where, layer in duel.discriminator.named_modules():
            if is_normalised(layer):
                raise UserError(
                    f"regularizer={name} bounds nothing under the spectral norm in the discriminator "
                    f"({where.partition('.parametrizations')[0]}), which brings its weights to norm 1 whatever their "
                    "size: drop the regulariser, or use a discriminator without spectral norm, as model=wgan has."
                )
            if isinstance(layer, EqualisedLinear | EqualisedConv2d):
                raise UserError(
                    f"regularizer={name} clips weights as they are stored, but the equalised learning rate in the "
                    f"discriminator ({where}) stores them near 1 and scales them down in use, so that scores would "
                    "die: use regularizer=[gradient_penalty], or a discriminator without it (model=wgan, and "
                    "conditioning=projection)."
                )

    @torch.no_grad()
    def apply(self, network: nn.Module) -> None:
        """Clip the parameters of `network` in place."""
        parameters: list[Tensor] = [p for p in network.parameters() if p.requires_grad]
        torch._foreach_clamp_min_(parameters, -self.limit)
        torch._foreach_clamp_max_(parameters, self.limit)
