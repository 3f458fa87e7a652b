"""Metrics that keep the rows of real images are measured by the evaluator like any other."""

from __future__ import annotations

import pytest
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor

from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.metrics.kid import KID
from gan_lightning.metrics.neighbours import DensityCoverage, PrecisionRecall

ROWS = {"kid": KID, "precision_recall": PrecisionRecall, "density_coverage": DensityCoverage}
FAKES = TinyData(seed=1).images.images


def fakes(start: int, stop: int) -> Tensor:
    return FAKES[start:stop]


@pytest.mark.filterwarnings("ignore:kid takes subsets")
@pytest.mark.parametrize("batch_size", [1, 7, 90, 1000])
def test_the_size_of_batches_does_not_matter(batch_size: int) -> None:
    expected = Evaluator(ROWS, TinyData(), LinearExtractor(), batch_size=32).evaluate(fakes)
    data = TinyData(transform="none ")  # another key, so that the real rows are made in these batches too
    scores = Evaluator(ROWS, data, LinearExtractor(), batch_size=batch_size).evaluate(fakes)
    assert len(scores) == 6 and scores == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.filterwarnings("ignore:kid takes subsets")
def test_a_second_evaluation_reads_no_real_image_and_measures_no_radius(monkeypatch: pytest.MonkeyPatch) -> None:
    data = TinyData()
    first = Evaluator(ROWS, data, LinearExtractor())
    scores = first.evaluate(fakes)
    data.closed = True
    monkeypatch.setattr(PrecisionRecall, "finish_real", None)
    monkeypatch.setattr(DensityCoverage, "finish_real", None)
    second = Evaluator(ROWS, data, LinearExtractor())
    assert second.evaluate(fakes) == scores and second.floor == first.floor
    assert set(first.floor) == set(scores)


@pytest.mark.filterwarnings("ignore:kid takes subsets")
def test_the_real_images_themselves_are_perfect_samples() -> None:
    data = TinyData()
    scores = Evaluator(ROWS, data, LinearExtractor()).evaluate(lambda start, stop: data.images.images[start:stop])
    perfect = {"precision", "recall", "density", "coverage"}
    assert {name: value for name, value in scores.items() if name.startswith(tuple(perfect))} == {
        f"{name}90_train[linear]": 1 for name in perfect
    }


def test_doubts_are_said_once() -> None:
    evaluator = Evaluator({"kid": KID}, TinyData(), LinearExtractor())
    with pytest.warns(UserWarning, match="kid takes subsets of 90 instead of 1,000") as said:
        evaluator.evaluate(fakes)
        evaluator.evaluate(fakes)
    assert len(said) == 1
