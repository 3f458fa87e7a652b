"""Modes, high-quality share and reverse KL of samplers whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting, named_values
from gan_lightning.metrics.modes import Modes

STD = 0.05
TICKS = torch.arange(-4.0, 5.0, 2.0)
GRID = torch.cartesian_prod(TICKS, TICKS)


def measure(points: Tensor) -> dict[str, float]:
    metric = Modes(Setting(modes=GRID, std=STD))
    for part in points.split(1000):
        metric.update(part, real=False)
    return named_values(metric)


def draw(modes: Tensor, count: int, std: float = STD) -> Tensor:
    stream = torch.Generator().manual_seed(0)
    return modes[torch.arange(count) % len(modes)] + std * torch.randn(count, 2, generator=stream)


def test_a_perfect_sampler_reaches_the_ceiling_of_high_quality() -> None:
    scores = measure(draw(GRID, 200_000))
    assert scores["modes"] == 25
    assert scores["high_quality"] == pytest.approx(1 - math.exp(-4.5), abs=1e-3)
    assert scores["reverse_kl"] == pytest.approx(0, abs=1e-12)


def test_a_sampler_of_independent_modes_shows_the_bias_of_its_histogram() -> None:
    stream = torch.Generator().manual_seed(3)
    chosen = torch.randint(25, (2500,), generator=stream)
    assert measure(GRID[chosen])["reverse_kl"] == pytest.approx(24 / 5000, rel=0.6)


def test_a_collapsed_sampler_has_one_mode_and_the_largest_divergence() -> None:
    scores = measure(draw(GRID[:1], 2500, std=0))
    assert scores == {"modes": 1, "high_quality": 1, "reverse_kl": pytest.approx(math.log(25))}


def test_half_of_the_modes_cost_log_two() -> None:
    metric = Modes(Setting(modes=GRID[:8], std=STD))
    metric.update(draw(GRID[:4], 4000), real=False)
    scores = named_values(metric)
    assert scores["modes"] == 4 and scores["reverse_kl"] == pytest.approx(math.log(2))


def test_points_between_the_modes_capture_none() -> None:
    scores = measure(GRID + torch.tensor([0.9, 0.0]))
    assert scores["modes"] == 0 and scores["high_quality"] == 0


def test_three_standard_deviations_are_radial_and_exact_far_from_the_origin() -> None:
    corner, far = torch.tensor([[1e3, 1e3]]), torch.tensor([0.01])
    metric = Modes(Setting(modes=corner, std=float(far)))
    inside, outside = corner + torch.tensor([[0.029, 0.0]]), corner + torch.tensor([[0.025, 0.025]])
    metric.update(torch.cat([inside, outside]), real=False)
    assert named_values(metric)["high_quality"] == 0.5


def test_a_set_of_images_has_no_modes() -> None:
    with pytest.raises(UserError, match="data=ring or data=grid"):
        Modes(Setting(feature_dim=8))
