"""IS agrees with torch-fidelity and with closed forms, and draws no random numbers of training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_isc import isc_features_to_metric

from gan_lightning.metrics.base import Setting, named_values
from gan_lightning.metrics.inception_score import InceptionScore


def score(logits: Tensor, splits: int = 10) -> tuple[float, float]:
    metric = InceptionScore(Setting(), splits=splits)
    for part in logits.split(64):
        metric.update(part)
    return tuple(named_values(metric).values())


@pytest.mark.parametrize("count", [500, 497])  # the second is no multiple of the splits
def test_agrees_with_torch_fidelity_shuffle_included(count: int) -> None:
    logits = 3 * torch.randn(count, 20, generator=torch.Generator().manual_seed(0))
    expected = isc_features_to_metric(logits)
    mean, std = score(logits)
    assert mean == pytest.approx(expected["inception_score_mean"], rel=1e-9)
    assert std == pytest.approx(expected["inception_score_std"], rel=1e-9)


def test_is_the_number_of_classes_for_certain_and_even_answers() -> None:
    logits = 1000 * torch.eye(5).repeat(40, 1)  # so certain that other classes' probabilities underflow
    assert score(logits, splits=1) == (pytest.approx(5), 0)


def test_is_one_if_all_answers_are_the_same() -> None:
    assert score(torch.tensor([[3.0, 1.0, 0.0]]).repeat(50, 1))[0] == pytest.approx(1)


def test_two_classes_at_ninety_percent() -> None:
    logits = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log().repeat(50, 1)
    assert score(logits, splits=1)[0] == pytest.approx(1.444935, abs=1e-6)


def test_a_class_that_no_split_has_is_no_nan() -> None:
    mean, std = score(2000 * torch.eye(3)[torch.zeros(40, dtype=torch.long)])
    assert mean == pytest.approx(1) and std == pytest.approx(0)


def test_few_samples_are_scored_in_fewer_splits_of_two_at_least() -> None:
    """A split of one sample scores 1 whatever it is: ten samples of ten certain classes would score 1, and not 2."""
    assert score(1000 * torch.eye(10)) == (pytest.approx(2), pytest.approx(0))
    mean, std = score(torch.randn(4, 3))
    assert 1 < mean <= 2 and math.isfinite(std)
    assert score(1000 * torch.eye(3)) == (pytest.approx(3), 0)  # one split


@pytest.mark.parametrize(("samples", "splits"), [(10, 5), (19, 9), (3, 1)])
def test_fewer_splits_are_told_with_their_key(samples: int, splits: int) -> None:
    metric = InceptionScore(Setting(num_fakes=samples))
    assert metric.remark() == f"is over {splits} splits"
    (doubt,) = metric.doubts()
    assert doubt.startswith(f"is takes {splits} splits instead of metrics.is.splits=10, as there are {samples} samples")
    enough = InceptionScore(Setting(num_fakes=20))
    assert not enough.remark() and not enough.doubts()


def test_repeats_exactly_and_leaves_the_global_random_state() -> None:
    logits = torch.randn(200, 8)
    before = torch.random.get_rng_state()
    assert score(logits) == score(logits)
    assert torch.equal(before, torch.random.get_rng_state())
