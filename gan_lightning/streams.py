"""Stateless random streams: a number depends only on the seed and its purpose, not on earlier draws.

So a resumed run draws the same numbers as an uninterrupted one, and each of several processes can draw the numbers of
the whole batch and take its rows.
"""

from __future__ import annotations

import hashlib
import math
from typing import Protocol

import torch
from torch import Tensor

from gan_lightning.errors import UserError


def key(seed: int, *names: object) -> int:
    """Return a 63-bit key for the stream called `names` of `seed`."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *names: object, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a new generator on `device` at the start of the stream called `names` of `seed`."""
    return torch.Generator(device=device).manual_seed(key(seed, *names))


class Draw(Protocol):
    """Random numbers for the present samples; numbers for one purpose are always the same."""

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Return U[0, 1) numbers `(N, *shape)`."""
        ...

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Return N(0, 1) numbers `(N, *shape)`."""
        ...


UNIFORM_BOUND = math.sqrt(3)  # bound of uniform latents with variance 1


def draw_latents(distribution: str, count: int, dim: int, stream: torch.Generator) -> Tensor:
    """Return `(count, dim)` latents of unit variance: "normal" N(0, 1) or "uniform" U(-sqrt 3, sqrt 3).

    Raises UserError for another distribution.
    """
    if distribution not in ("normal", "uniform"):
        raise UserError(f"latent_distribution={distribution} is not known: choose normal or uniform.")
    if distribution == "uniform":
        unit = torch.rand(count, dim, generator=stream, device=stream.device)
        return (unit * 2 - 1) * UNIFORM_BOUND
    return torch.randn(count, dim, generator=stream, device=stream.device)


def reseed_layers(seed: int, device: torch.device) -> None:
    """Seed PyTorch's global random state, which layers such as dropout use.

    `torch.manual_seed` does the same, but records a stack trace for every unused accelerator: 0.7 ms per call.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
