"""Latents and images by sample index: sample i of a seed is the same in any batch and on any process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import Generator
from gan_lightning.streams import draw_latents
from gan_lightning.streams import generator as random_stream

CHUNK = 64  # latents are drawn in blocks of this size, each block from its own random stream


def latents(network: Generator, start: int, stop: int, seed: int) -> Tensor:
    """Return latents `(stop - start, latent_dim)` with the global sample indices [start, stop), on the CPU."""
    distribution, codes = getattr(network, "latent_distribution", "normal"), getattr(network, "codes", None)

    def draw(block: int) -> Tensor:
        z = draw_latents(distribution, CHUNK, network.latent_dim, random_stream(seed, "sample", block))
        return z if codes is None else codes.write(z, codes.draw(CHUNK, random_stream(seed, "code", block)))

    return rows(start, stop, draw)


def random_labels(num_classes: int, start: int, stop: int, seed: int) -> Tensor:
    """Return uniformly drawn class labels `(stop - start,)` for the global sample indices [start, stop)."""

    def draw(block: int) -> Tensor:
        return torch.randint(num_classes, (CHUNK,), generator=random_stream(seed, "label", block))

    return rows(start, stop, draw)


def rows(start: int, stop: int, draw: Callable[[int], Tensor]) -> Tensor:
    """Return the rows [start, stop) of an endless stream; `draw` makes block k of CHUNK rows."""
    blocks = range(start // CHUNK, -(-stop // CHUNK))
    offset = start - blocks.start * CHUNK
    return torch.cat([draw(block) for block in blocks])[offset : offset + stop - start]


class Batch(NamedTuple):
    """Inputs for the samples [start, stop) of stream `seed`, on the network's device."""

    start: int
    stop: int
    seed: int
    z: Tensor
    labels: Tensor | None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Return the network's arguments; a user's network may take only z."""
        return (self.z,) if self.labels is None else (self.z, self.labels)


@torch.no_grad()
def generate(
    network: Generator,
    start: int,
    stop: int,
    seed: int,
    batch_size: int = 256,
    labels: Tensor | None = None,
    codes: Tensor | None = None,
) -> Tensor:
    """Return images `(stop - start, *image_shape)` in [-1, 1], the samples [start, stop) of stream `seed`.

    labels: `(stop - start,)` classes for a conditional network; None draws them uniformly, per index.
    codes: `(stop - start, codes)` values for a network with codes, NaN for drawn codes; None draws all.
    """
    if stop <= start:
        return torch.empty(0, *network.image_shape)
    with evaluating(network):
        drawn = batches(network, start, stop, seed, batch_size, labels, codes)
        return torch.cat([network(*batch.inputs) for batch in drawn])


def batches(
    network: Generator,
    start: int,
    stop: int,
    seed: int,
    batch_size: int,
    labels: Tensor | None = None,
    codes: Tensor | None = None,
) -> Iterator[Batch]:
    """Yield the inputs of the samples [start, stop), `batch_size` at a time; see `generate`."""
    device = next(network.parameters()).device
    for low in range(start, stop, batch_size):
        high = min(low + batch_size, stop)
        chosen = labels[low - start : high - start] if labels is not None else None
        if chosen is None and network.num_classes:
            chosen = random_labels(network.num_classes, low, high, seed)
        z = latents(network, low, high, seed)
        if codes is not None and network.codes is not None:
            z = network.codes.write(z, codes[low - start : high - start])
        yield Batch(low, high, seed, z.to(device), chosen.to(device) if chosen is not None else None)


@torch.no_grad()
def sweep(network: Generator, columns: int, seed: int) -> Tensor:
    """Return images `(codes * columns, *image_shape)`: in each row one code takes all values, and the rest is fixed.

    Row i has the noise, the other codes and the class of sample i of stream `seed`.
    """
    codes, device = network.codes, next(network.parameters()).device
    assert codes is not None
    z = latents(network, 0, codes.count, seed).repeat_interleave(columns, 0)
    labels = random_labels(network.num_classes, 0, codes.count, seed) if network.num_classes else None
    labels = labels.repeat_interleave(columns).to(device) if labels is not None else None
    with evaluating(network):
        return network(codes.write(z, codes.sweep(columns)).to(device), labels)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Set `network` to evaluation mode, and restore the mode of each module afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
