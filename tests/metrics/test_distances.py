"""Distances are decided exactly, in blocks of bounded memory."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from kept_rows import features, measured
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan_lightning.metrics import distances
from gan_lightning.metrics.distances import Block, full_precision, squared_radii
from gan_lightning.metrics.neighbours import DensityCoverage, PrecisionRecall


def exact(one: Tensor, other: Tensor) -> Tensor:
    return (one[:, None].double() - other.double()).square().sum(dim=2)


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("few", [0.0, 1.0])  # open decisions are all taken by products, or all pair by pair
def test_decisions_are_those_of_exact_distances(offset: float, few: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "FEW", few)
    points, others = features(60) + offset, features(50, seed=1) + offset
    squared = exact(points, others)
    radii = squared[torch.arange(50) % 7, torch.arange(50)]  # each is the distance of one of the points: a tie
    block = Block(points, others)
    assert torch.equal(block.within(radii, closed=True), squared <= radii)
    assert torch.equal(block.within(radii, closed=False), squared < radii)
    assert block.squared.dtype == (torch.float32 if few else torch.float64)


@pytest.mark.parametrize("scale", [1.0, 1e-4])  # float32 products know nothing of distances of the second kind
def test_radii_are_exact(scale: float) -> None:
    points = 10 + scale * features(200)
    expected = exact(points, points).sort(dim=1).values[:, 3]
    assert torch.allclose(squared_radii(points, 3), expected, rtol=1e-6 if scale == 1 else 1e-2, atol=0)


def test_equal_points_have_no_distance() -> None:
    points = features(30, dim=500).repeat(20, 1) + 5
    block = Block(points, points)
    assert torch.equal(block.within(torch.zeros(600, dtype=torch.float64), closed=True), exact(points, points) == 0)
    assert not block.within(torch.zeros(600, dtype=torch.float64), closed=False).any()
    assert squared_radii(points, 5).max() < 1e-9


@pytest.mark.parametrize("block", [1, 1000, 2**24])
def test_the_size_of_blocks_does_not_matter(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = features(150), features(120, seed=1)
    expected = measured(PrecisionRecall, real, fake), measured(DensityCoverage, real, fake)
    monkeypatch.setattr(distances, "BLOCK", block)
    assert (measured(PrecisionRecall, real, fake), measured(DensityCoverage, real, fake)) == expected


def test_products_are_true_float32_whatever_training_uses() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with full_precision():
            assert torch.backends.cuda.matmul.fp32_precision == torch.backends.mkldnn.matmul.fp32_precision == "ieee"
        assert torch.get_float32_matmul_precision() == "medium" and torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)


class Live(TorchDispatchMode):
    """Counts the bytes of tensors that operations make, while they live."""

    now = peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        if all(returned.alias_info is None for returned in function._schema.returns):  # neither views nor in place
            for value in filter(torch.is_tensor, tree_leaves(result)):
                self.now += value.nbytes
                self.peak = max(self.peak, self.now)
                weakref.finalize(value, self._freed, value.nbytes)
        return result

    def _freed(self, size: int) -> None:
        self.now -= size


@contextmanager
def counting() -> Iterator[Live]:
    with Live() as live:
        yield live


BYTES, TIMES = 64, 3  # most memory of all: BYTES for each distance of a block, and the rows of one set TIMES over


@pytest.mark.parametrize("kind", [PrecisionRecall, DensityCoverage])
@pytest.mark.parametrize("copies", [1, 100])  # the second leaves so much open that float64 steps in
def test_memory_is_that_of_a_block_and_a_few_copies_of_the_rows(
    kind: type, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    block = distances.BLOCK
    monkeypatch.setattr(distances, "BLOCK", 2**16)
    real, fake = (features(3000 // copies, 64, seed=seed).repeat(copies, 1) for seed in range(2))
    assert real.nbytes < BYTES * distances.BLOCK < 3000 * 3000 * 4  # neither bound is met by holding everything
    with counting() as live:
        measured(kind, real, fake)
    assert 0 < live.peak < BYTES * distances.BLOCK + TIMES * real.nbytes
    fifty_thousand_of_inception = 50_000 * 2048 * 4
    assert BYTES * block + (TIMES + 2) * fifty_thousand_of_inception < 4e9  # both sets themselves included
