"""Precision, recall, density and coverage agree with torch-fidelity, brute force and closed forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from kept_rows import features, measured, setting
from torch import Tensor
from torch_fidelity.metric_prc import prc_features_to_metric

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting, named_values, real_state, set_state
from gan_lightning.metrics.neighbours import DensityCoverage, PrecisionRecall

REAL, FAKE = features(400), features(330, seed=1, scale=1.1)


def distances(one: Tensor, other: Tensor) -> Tensor:
    return (one[:, None].double() - other.double()).norm(dim=2)


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Return the paper's equations 1 and 2, by brute force."""
    real_radii = distances(real, real).sort(dim=1).values[:, k]
    fake_radii = distances(fake, fake).sort(dim=1).values[:, k]
    precise = (distances(fake, real) <= real_radii).any(dim=1)
    recalled = (distances(real, fake) <= fake_radii).any(dim=1)
    return float(precise.double().mean()), float(recalled.double().mean())


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """Return the paper's equations 3 and 4, by brute force."""
    inside = distances(fake, real) < distances(real, real).sort(dim=1).values[:, k]
    return float(inside.sum() / (k * len(fake))), float(inside.any(dim=0).double().mean())


SETS: dict[str, Callable[[], tuple[Tensor, Tensor]]] = {
    "features": lambda: (REAL, FAKE),
    "far from the origin": lambda: (REAL + 300, FAKE + 300),
    "tight clusters": lambda: (
        REAL.round() * 50 + features(400, seed=2) / 100,
        FAKE.round() * 50 + features(330, seed=3) / 100,
    ),
    "memorised images": lambda: (REAL, torch.cat([REAL[:100], FAKE])),
    "images that occur many times": lambda: (torch.cat([REAL, REAL[:40].repeat(6, 1)]), torch.cat([FAKE, REAL[30:60]])),
}


@pytest.mark.parametrize("name", SETS)
def test_agrees_with_brute_force(name: str) -> None:
    real, fake = SETS[name]()
    assert measured(PrecisionRecall, real, fake) == pytest.approx(precision_recall(real, fake), abs=1e-9)
    assert measured(DensityCoverage, real, fake) == pytest.approx(density_coverage(real, fake), abs=1e-6)


@pytest.mark.parametrize("k, dim", [(3, 24), (5, 8), (1, 2048)])
def test_precision_and_recall_agree_with_torch_fidelity(k: int, dim: int) -> None:
    real, fake = features(400, dim), features(330, dim, seed=1, scale=1.1)
    expected = prc_features_to_metric(fake, real, prc_neighborhood=k, verbose=False)
    found = measured(PrecisionRecall, real, fake, k=k)
    assert found == pytest.approx((expected["precision"], expected["recall"]), rel=1e-5)


def test_points_on_a_line() -> None:
    real, fake = (torch.tensor(x)[:, None] for x in ([0.0, 1.0, 2.0, 10.0], [0.5, 1.5, 3.5, 30.0]))
    assert measured(PrecisionRecall, real, fake, k=1) == (0.75, 1.0)
    assert measured(DensityCoverage, real, fake, k=1) == (1.25, 1.0)


def test_a_point_on_the_surface_is_inside_for_precision_and_outside_for_density() -> None:
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[-1.0], [5.0]])
    assert measured(PrecisionRecall, real, fake, k=1)[0] == 0.5
    assert measured(DensityCoverage, real, fake, k=1) == (0, 0)


def test_a_set_against_itself_in_any_order_is_perfect() -> None:
    shuffled = REAL[torch.randperm(len(REAL), generator=torch.Generator().manual_seed(0))]
    assert measured(PrecisionRecall, REAL, shuffled) == (1, 1)
    assert measured(DensityCoverage, REAL, shuffled) == (1, 1)


def test_sets_far_apart_have_nothing_in_common() -> None:
    assert measured(PrecisionRecall, REAL, FAKE + 100) == (0, 0)
    assert measured(DensityCoverage, REAL, FAKE + 100) == (0, 0)


def test_a_collapsed_generator_has_no_recall() -> None:
    one_image = REAL[:1].expand(300, -1).clone()
    precision, recall = measured(PrecisionRecall, REAL, one_image)
    assert precision == 1 and recall == 1 / 400  # the image itself
    assert measured(DensityCoverage, REAL, one_image)[1] < 0.1


def test_samples_of_the_same_law_have_the_expected_density_and_coverage() -> None:
    count, k = 1000, 5
    expected = 1 - torch.tensor([(count - i) / (2 * count - i) for i in range(1, k + 1)]).prod()
    assert float(expected) == pytest.approx(0.96898, abs=1e-5)
    density, coverage = measured(DensityCoverage, features(count), features(count, seed=1))
    assert density == pytest.approx(1, abs=0.05) and coverage == pytest.approx(float(expected), abs=0.02)


@pytest.mark.parametrize("kind", [PrecisionRecall, DensityCoverage])
def test_radii_of_the_real_features_are_measured_once(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (kind(setting(REAL, FAKE)) for _ in range(2))
    first.real_rows = second.real_rows = {"features": REAL}
    first.finish_real()
    monkeypatch.setattr(kind, "finish_real", None)
    assert real_state(first).keys() == {"real_radii"}
    set_state(second, real_state(first))
    for metric in (first, second):
        metric.update(FAKE, real=False)
    assert named_values(first) == named_values(second)


@pytest.mark.parametrize(
    "kind, known, options, sentence",
    [
        (PrecisionRecall, {"num_reals": 3, "num_fakes": 9}, {}, "3 neighbours of each of 3 real images: .* least 4"),
        (PrecisionRecall, {"num_reals": 9, "num_fakes": 3}, {}, "3 neighbours of each of 3 samples"),
        (DensityCoverage, {"num_reals": 5, "num_fakes": 2}, {}, r"5 neighbours of .* lower metrics\.density_cov.*\.k"),
        (DensityCoverage, {}, {"k": 0}, r"metrics\.density_coverage\.k=0 is out of range"),
    ],
)
def test_what_cannot_be_measured_is_said(kind: type, known: dict, options: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        kind(Setting(**known), **options)


def test_samples_need_no_neighbours_of_their_own_for_density() -> None:
    assert measured(DensityCoverage, REAL, REAL[:2])[0] > 0


def test_unequal_numbers_are_said() -> None:
    assert "330 samples with 400 real images" in PrecisionRecall(setting(REAL, FAKE)).doubts()[0]
    assert PrecisionRecall(setting(REAL, REAL)).doubts() == []
