"""Finds the layers whose weights are initialised or normalised, and initialises them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import nn

from gan_lightning.errors import UserError

Weighted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding


def weighted_layers(network: nn.Module, skip: tuple[type[nn.Module], ...] = ()) -> Iterator[Weighted]:
    """Yield the convolutions, linear layers and embeddings of `network` that are not inside a module of type `skip`."""
    if isinstance(network, skip):
        return
    if isinstance(network, Weighted):
        yield network
    for child in network.children():
        yield from weighted_layers(child, skip)


def initialise(network: nn.Module, scheme: str = "glorot", skip: tuple[type[nn.Module], ...] = ()) -> None:
    """Draw the weights and zero the biases of convolutions, linear layers and embeddings outside of `skip`.

    scheme: "glorot", uniform, with gain sqrt(2) on 3x3 convolutions (WGAN-GP, SNGAN); or "orthogonal" (BigGAN).
    """
    if scheme not in ("glorot", "orthogonal"):
        raise UserError(f"initialisation={scheme} is not known: choose glorot or orthogonal.")
    for layer in weighted_layers(network, skip):
        if scheme == "orthogonal":
            nn.init.orthogonal_(layer.weight)
        else:
            nn.init.xavier_uniform_(layer.weight, math.sqrt(2) if _is_3x3(layer) else 1.0)
        bias = getattr(layer, "bias", None)
        if bias is not None:
            nn.init.zeros_(bias)


def _is_3x3(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
