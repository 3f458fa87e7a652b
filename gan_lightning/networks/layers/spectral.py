"""Spectral normalisation: Miyato et al. 2018, arXiv 1802.05957."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from gan_lightning.networks.layers.initialisation import weighted_layers

WARM_UP = 15  # power iterations before the first forward, so that sigma is accurate from the start


class SpectralNorm(nn.Module):
    """Parametrisation weight -> weight / sigma; sigma is the largest singular value of the weight as a matrix.

    The matrix of a convolution is (out, in * kh * kw). The buffer `u` estimates the first left singular vector. A
    forward in training mode updates it by `n_power_iterations`; in evaluation mode it iterates too but does not store
    the result. u and v have no gradient, sigma has one.

    dim: the output dimension of the weight, 1 for transposed convolutions.
    """

    u: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0) -> None:
        super().__init__()
        self.n_power_iterations, self.dim = n_power_iterations, dim
        matrix = self._matrix(weight.detach())
        self.register_buffer("u", normalize(torch.randn_like(matrix[:, 0]), dim=0))
        if not weight.is_meta:  # on the meta device it is slow and has no values
            self.u.copy_(self._iterate(matrix, WARM_UP)[0])

    def forward(self, weight: Tensor) -> Tensor:
        """Return the normalised weight, in its own shape."""
        with full_precision(weight.device):
            matrix = self._matrix(weight)
            u, v = self._iterate(matrix.detach(), self.n_power_iterations)
            if self.training:
                self.u.copy_(u)
            sigma = torch.dot(u, matrix @ v)
            return weight / sigma.clamp_min(1e-12)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    @torch.no_grad()
    def _iterate(self, matrix: Tensor, times: int) -> tuple[Tensor, Tensor]:
        """Return u `(out,)` and v `(in,)` as new tensors: the backward of an earlier forward needs the old ones."""
        u = self.u
        for _ in range(times):
            v = normalize(matrix.mT @ u, dim=0)
            u = normalize(matrix @ v, dim=0)
        return u, v


def spectral_norm(module: nn.Module, n_power_iterations: int = 1) -> nn.Module:
    """Normalise `module.weight` and return the module; its parameter becomes `parametrizations.weight.original`.

    Initialise before: the weight cannot be set afterwards.
    """
    weight = module.weight
    assert isinstance(weight, Tensor)
    dim = 1 if isinstance(module, nn.ConvTranspose2d) else 0
    parametrize.register_parametrization(module, "weight", SpectralNorm(weight, n_power_iterations, dim))
    return module


def spectrally_normalise(network: nn.Module, skip: tuple[type[nn.Module], ...] = ()) -> nn.Module:
    """Normalise all convolutions, linear layers and embeddings of `network` in place, except those inside `skip`."""
    for layer in list(weighted_layers(network, skip)):
        if not parametrize.is_parametrized(layer, "weight"):
            spectral_norm(layer)
    return network


def normalise_head(head: nn.Module) -> None:
    """Normalise an initialised head, except embeddings: they may be zero, which cannot be normalised."""
    for layer in weighted_layers(head):
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight)
    spectrally_normalise(head)


def is_normalised(layer: nn.Module) -> bool:
    """Return whether `layer` is a spectral norm, ours or PyTorch's, or has PyTorch's old one, seen by its parameter."""
    return isinstance(layer, SpectralNorm | _SpectralNorm) or hasattr(layer, "weight_orig")


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switch autocast off; otherwise sigma would be computed in half precision."""
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)
