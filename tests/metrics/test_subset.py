"""A random subset is the same in any batches, uniform, and no larger than it may be."""

from __future__ import annotations

import torch

from gan_lightning.metrics.subset import RandomSubset


def kept(batch_size: int, most: int = 30, total: int = 200) -> torch.Tensor:
    subset = RandomSubset(most, "test")
    for part in torch.arange(total).split(batch_size):
        subset.add(part[:, None] * torch.ones(1, 2), -part)
    rows, labels = subset.rows()
    assert torch.equal(rows[:, 0], -labels.float())  # columns stay together
    return labels.neg()


def test_batches_do_not_matter_and_no_row_comes_twice() -> None:
    expected = kept(200)
    assert len(expected) == 30 == len(expected.unique())
    for batch_size in (1, 7, 64, 199):
        assert torch.equal(kept(batch_size), expected)


def test_fewer_rows_than_the_most_are_all_kept_in_a_random_order() -> None:
    rows = kept(16, most=500)
    assert torch.equal(rows.sort().values, torch.arange(200))
    assert not torch.equal(rows, torch.arange(200))


def test_early_and_late_rows_have_the_same_chance() -> None:
    halves = torch.stack([part.double().mean() for part in kept(256, most=2000, total=20_000).split(1000)])
    assert ((halves - 10_000).abs() < 4 * 20_000 / (12 * 1000) ** 0.5).all()


def test_the_global_random_state_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    kept(16)
    assert torch.equal(before, torch.random.get_rng_state())
