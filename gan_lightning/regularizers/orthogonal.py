"""Weights with orthogonal filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from gan_lightning.errors import UserError
from gan_lightning.regularizers.base import Regularizer

if TYPE_CHECKING:
    from gan_lightning.training.step import Step


class Orthogonal(Regularizer):
    """weight * sum |W W^T (1 - I)|^2 over a network's weights W (outputs x inputs): orthogonal filters of any length.

    Brock et al. 2018, arXiv 1809.11096.

    player: "generator", as in the paper, or "discriminator".
    """

    def __init__(self, weight: float = 1e-4, player: str = "generator", every: int = 1) -> None:
        super().__init__(weight, every)
        if player not in ("generator", "discriminator"):
            raise UserError(f"regularizer.orthogonal.player={player} is neither generator nor discriminator.")
        self.player = player  # type: ignore[misc]  # other regularisers are of one player by nature

    def penalty(self, step: Step) -> Tensor:
        """Return the sum of the squared products of different filters of the same layer."""
        network = step.generator if self.player == "generator" else step.discriminator
        with torch.autocast(step.batch["image"].device.type, enabled=False):
            products = [matrix @ matrix.T for matrix in matrices(network)]
            return torch.stack([p.square().sum() - p.diagonal().square().sum() for p in products]).sum()


def matrices(network: nn.Module) -> Iterator[Tensor]:
    """Yield the weights as trained (before spectral norm) of all layers but embeddings, `(outputs, inputs)`."""
    for layer in network.modules():
        if isinstance(layer, nn.Embedding | ParametrizationList):
            continue
        transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
        for weight in _weights(layer):
            yield (weight.transpose(0, 1) if transposed else weight).flatten(1)


def _weights(layer: nn.Module) -> Iterator[Tensor]:
    parametrized = getattr(layer, "parametrizations", {})
    own = [*layer.parameters(recurse=False), *(parametrized[name].original for name in parametrized)]
    return (weight for weight in own if weight.ndim > 1)
