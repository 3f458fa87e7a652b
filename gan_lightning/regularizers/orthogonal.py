"""Orthogonal regularisation of the filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from gan_lightning.contracts import ROLES, DuelStep, Role
from gan_lightning.errors import UserError
from gan_lightning.regularizers.base import Regularizer

NO_FILTERS = (nn.Embedding, nn.EmbeddingBag, nn.LayerNorm, nn.RMSNorm)  # their weights can also be matrices


class Orthogonal(Regularizer):
    """weight * sum |W W^T (1 - I)|^2 over the weights W (outputs x inputs) of a network's linear layers, convolutions.

    The filters may have any norm; embeddings are excluded. Brock et al. 2018, arXiv 1809.11096.

    role: "generator", as in the paper, or "discriminator".
    """

    def __init__(self, weight: float = 1e-4, role: Role = "generator", every: int = 1) -> None:
        super().__init__(weight, every)
        if role not in ROLES:
            raise UserError(f"regularizer.orthogonal.role={role} is neither generator nor discriminator.")
        self.role = role  # type: ignore[misc]  # other regularisers are of one role by nature

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the sum of squared inner products of different filters of the same layer."""
        network = step.generator if self.role == "generator" else step.discriminator
        with torch.autocast(next(network.parameters()).device.type, enabled=False):
            products = [matrix @ matrix.mT for matrix in matrices(network)]
            if not products:
                raise UserError(
                    f"regularizer=orthogonal finds no linear layer or convolution in {type(network).__name__}: drop it."
                )
            return torch.stack([p.square().sum() - p.diagonal(0, -2, -1).square().sum() for p in products]).sum()


def matrices(network: nn.Module) -> Iterator[Tensor]:
    """Yield the weights of all linear layers and convolutions, `(groups, outputs, inputs)`, one group if not grouped.

    A layer counts if it has a parameter `weight` with at least two dimensions and is neither an embedding nor a norm;
    layers of the user's own count too. Biases, constants and noise strengths have other names.
    """
    for layer in network.modules():
        weight = None if isinstance(layer, NO_FILTERS) else effective_weight(layer)
        if weight is not None and weight.ndim > 1:
            yield _grouped(layer, weight).flatten(2)


def effective_weight(layer: nn.Module) -> Tensor | None:
    """Return a layer's weight: with its scale if equalised; before normalisation under spectral norm."""
    parameters, parametrized = layer._parameters, getattr(layer, "parametrizations", {})
    weight: Any = parameters.get("weight", parameters.get("weight_orig"))  # of PyTorch's old spectral norm
    if "weight" in parametrized:
        trained = parametrized["weight"]
        weight = trained.original if hasattr(trained, "original") else layer.weight  # weight norm stores two parts
    if not isinstance(weight, Tensor):
        return None
    scale = getattr(layer, "scale", None)
    return weight * scale if isinstance(scale, float) else weight


def _grouped(layer: nn.Module, weight: Tensor) -> Tensor:
    """Return `(groups, outputs, inputs, ...)`: filters of different groups are not compared."""
    weight = weight.unflatten(0, (getattr(layer, "groups", 1), -1))
    transposed = isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
    return weight.transpose(1, 2) if transposed else weight
