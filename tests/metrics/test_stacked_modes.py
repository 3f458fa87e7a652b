"""Modes and reverse KL of stacked digits, for samplers whose answer is known and through the classifier."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gan_lightning.data import StackedDigits
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.metrics.base import Setting, Subject, named_values
from gan_lightning.metrics.stacked_modes import StackedModes

SETTING = Setting(stacked=True, data="stacked_digits")
FLOOR = 999 / (2 * 26_000)  # 0.0192
SPREAD = math.sqrt(2 * 999) / (2 * 26_000)  # of the KL of independent draws: half a chi-squared over N


pytestmark = pytest.mark.filterwarnings("ignore:The ``compute`` method")  # of counts that a test put there


@pytest.fixture(scope="module")
def data() -> StackedDigits:
    return StackedDigits(num_stacks=26_000, image_size=8)


def counted(numbers: Tensor, **options: str) -> dict[str, float]:
    """Return the scores of samples of which the modes are known."""
    metric = StackedModes(SETTING, **options)
    metric.counts += numbers.bincount(minlength=1000)
    return named_values(metric)


def measured(
    data: StackedDigits, sample: Callable[[int, int], Tensor], count: int = 26_000, **options: str
) -> dict[str, float]:
    metric = StackedModes(SETTING, **options)
    metric.update(Subject(sample=sample, data=data, num_fakes=count))
    return named_values(metric)


def test_an_ideal_sampler_of_26000_shows_a_divergence_of_one_fiftieth() -> None:
    numbers = torch.randint(1000, (26_000,), generator=torch.Generator().manual_seed(0))
    scores = counted(numbers)
    assert scores["modes"] == 1000
    assert scores["reverse_kl"] == pytest.approx(FLOOR, abs=4 * SPREAD) and pytest.approx(0.0192, abs=5e-5) == FLOOR


def test_collapse_has_one_mode_and_the_largest_divergence() -> None:
    assert counted(torch.full((500,), 123)) == {"modes": 1, "reverse_kl": pytest.approx(math.log(1000))}


def test_half_of_the_modes_cost_log_two() -> None:
    assert counted(torch.arange(500).repeat(4)) == {"modes": 500, "reverse_kl": pytest.approx(math.log(2))}


@pytest.mark.slow
def test_real_stacks_come_near_the_floor_by_their_labels_and_through_the_classifier(data: StackedDigits) -> None:
    source = data.reference()
    by_label = counted(source.numbers)
    assert by_label["modes"] == 1000 and by_label["reverse_kl"] == pytest.approx(FLOOR, abs=5 * SPREAD)
    metric = StackedModes(SETTING, target="data")
    metric.update(Subject(sample=lambda a, b: source.images[torch.arange(a, b)], data=data, num_fakes=26_000))
    assert torch.equal(metric.law, source.law)
    against_law = named_values(metric)
    metric.law = torch.full((1000,), 1 / 1000, dtype=torch.float64)
    metric._computed = None
    through = named_values(metric)
    assert through["modes"] == against_law["modes"] == 1000
    assert through["reverse_kl"] == pytest.approx(by_label["reverse_kl"], abs=0.003)
    assert against_law["reverse_kl"] == pytest.approx(FLOOR, abs=0.003)


def test_float_samples_count_as_their_pixels(data: StackedDigits) -> None:
    source = data.reference()

    def pixels(start: int, stop: int) -> Tensor:
        return source.images[torch.arange(start, stop)]

    count = 300
    assert measured(data, pixels, count) == measured(data, lambda a, b: pixels(a, b).float() / 127.5 - 1, count)


def test_a_generator_of_one_image_has_one_mode_of_that_number(data: StackedDigits) -> None:
    source = data.reference()
    metric = StackedModes(SETTING)
    sample = Subject(sample=lambda a, b: source.images[torch.zeros(b - a).long()], data=data, num_fakes=300)
    metric.update(sample)
    assert metric.counts[source.numbers[0]] == 300 and named_values(metric)["modes"] == 1


def test_samples_that_are_no_numbers_have_no_scores(data: StackedDigits) -> None:
    scores = measured(data, lambda a, b: torch.full((b - a, 3, 8, 8), math.nan), count=300)
    assert all(math.isnan(value) for value in scores.values())


def test_the_evaluator_takes_26000_samples_and_names_the_scores_as_those_of_mixtures(data: StackedDigits) -> None:
    evaluator = Evaluator({"stacked_modes": StackedModes}, data)
    assert evaluator.num_fakes == 26_000 and Evaluator({}, data, num_fakes=7).num_fakes == 7
    few = Evaluator({"stacked_modes": StackedModes}, data, num_fakes=1000)
    source = data.reference()
    scores = few.evaluate(lambda start, stop: source.images[torch.arange(start, stop)])
    assert few.protocol == "1,000 EMA samples (seed 0) vs 1,000 modes"
    assert set(scores) == {"modes", "reverse_kl"} and 550 < scores["modes"] < 700  # 1000 (1 - 1/e) = 632


def test_on_other_data_it_is_a_sentence_and_so_are_wrong_options() -> None:
    with pytest.raises(UserError, match="data=mnist stacks none: choose data=stacked_digits or data=stacked_mnist"):
        StackedModes(Setting(data="mnist"))
    with pytest.raises(UserError, match=r"stacked_modes\.target=normal is not known: choose uniform or data"):
        StackedModes(SETTING, target="normal")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"stacked_modes\.epochs=0 is out of range"):
        StackedModes(SETTING, epochs=0)
