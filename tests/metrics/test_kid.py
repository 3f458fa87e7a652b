"""KID agrees with torch-fidelity and with closed forms, and draws no random numbers of training."""

from __future__ import annotations

import pytest
import torch
from kept_rows import features, measured, setting
from torch import Tensor
from torch_fidelity.metric_kid import kid_features_to_metric

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting
from gan_lightning.metrics.kid import KID, squared_mmd

REAL, FAKE = features(420), features(350, seed=1, scale=1.2)


def column(*values: float) -> Tensor:
    return torch.tensor(values)[:, None]


def reference(real: Tensor, fake: Tensor, subsets: int, size: int) -> tuple[float, float]:
    found = kid_features_to_metric(fake, real, kid_subsets=subsets, kid_subset_size=size, rng_seed=2020, verbose=False)
    return found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]


@pytest.mark.parametrize("size", [100, 350])  # the second takes all samples into each subset
def test_agrees_with_torch_fidelity_subsets_included(size: int) -> None:
    expected = reference(REAL.double(), FAKE.double(), 20, size)
    assert measured(KID, REAL, FAKE, subsets=20, subset_size=size) == pytest.approx(expected, rel=1e-5)


def test_agrees_with_torch_fidelity_at_the_width_of_inception() -> None:
    real, fake = features(300, 2048), features(300, 2048, seed=1, scale=1.05)
    expected = reference(real.double(), fake.double(), 5, 200)
    assert measured(KID, real, fake, subsets=5, subset_size=200) == pytest.approx(expected, rel=1e-5)


def test_sets_smaller_than_a_subset_are_taken_whole_and_this_is_said() -> None:
    same_number = FAKE[:200], REAL[:200]
    mean, std = measured(KID, *same_number)
    assert mean == pytest.approx(float(squared_mmd(*same_number)), rel=1e-9) and std == 0
    assert measured(KID, REAL, FAKE) == pytest.approx(reference(REAL.double(), FAKE.double(), 100, 350), rel=1e-5)
    assert "subsets of 350 instead of 1,000" in KID(setting(REAL, FAKE)).doubts()[0]
    assert KID(setting(REAL, FAKE), subset_size=350).doubts() == []


@pytest.mark.parametrize("real, expected", [(column(1, 2), 9.5), (column(0, 1), -3.5)])
def test_two_points_against_two(real: Tensor, expected: float) -> None:
    assert measured(KID, real, column(0, 1)) == (expected, 0)


@pytest.mark.parametrize("mean, std, expected", [(1, 1, 22), (0, 2, 27)])
def test_is_the_distance_of_two_gaussians_in_one_dimension(mean: float, std: float, expected: float) -> None:
    stream = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(40_000, 1, generator=stream) for _ in range(2))
    value, spread = measured(KID, mean + std * real, fake, subsets=200, subset_size=200)
    assert value == pytest.approx(expected, abs=3 * spread / 200**0.5)


def test_repeats_exactly_and_leaves_the_random_states() -> None:
    import numpy as np

    before, numpy_before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    assert measured(KID, REAL, FAKE, subsets=3) == measured(KID, REAL, FAKE, subsets=3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert (np.random.get_state()[1] == numpy_before).all()


@pytest.mark.parametrize(
    "known, options, sentence",
    [
        ({"num_reals": 1, "num_fakes": 9}, {}, "9 samples and 1 real images: it takes at least 2 of each"),
        ({}, {"subsets": 0}, r"metrics\.kid\.subsets=0 is out of range"),
        ({}, {"subset_size": 1}, r"metrics\.kid\.subset_size=1 is out of range"),
    ],
)
def test_what_cannot_be_measured_is_said(known: dict[str, int], options: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        KID(Setting(**known), **options)
