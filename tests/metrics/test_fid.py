"""FID agrees with torch-fidelity and with closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from gan_lightning.metrics.base import Setting, named_values, real_state, set_state
from gan_lightning.metrics.fid import FID


def fid(real: Tensor, fake: Tensor) -> float:
    metric = FID(Setting(feature_dim=real.shape[1]))
    metric.update(real, real=True)
    metric.update(fake, real=False)
    return named_values(metric)["fid"]


def exactly(mean: list[float], covariance: list[list[float]], count: int = 400) -> Tensor:
    """Return samples whose sample mean and unbiased sample covariance are exactly those given."""
    dim = len(mean)
    points = torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points -= points.mean(dim=0)
    whitening = torch.linalg.inv(torch.linalg.cholesky(points.T.cov() if dim > 1 else points.T.cov().reshape(1, 1)))
    colour = torch.linalg.cholesky(torch.tensor(covariance, dtype=torch.float64))
    return points @ whitening.T @ colour.T + torch.tensor(mean, dtype=torch.float64)


@pytest.mark.parametrize("count, dim", [(300, 24), (40, 64)])  # the second has singular covariances
def test_agrees_with_torch_fidelity(count: int, dim: int) -> None:
    stream = torch.Generator().manual_seed(1)
    real = torch.randn(count, dim, generator=stream).relu()
    fake = (torch.randn(count + 7, dim, generator=stream) * 1.5 + 0.3).relu()
    statistics = [fid_features_to_statistics(features.double()) for features in (real, fake)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert fid(real, fake) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shift, expected", [([0.0, 0.0], 0.771220), ([1.0, -2.0], 5.771220)])
def test_is_the_distance_of_two_gaussians(shift: list[float], expected: float) -> None:
    real, fake = exactly([0, 0], [[2, 1], [1, 2]]), exactly(shift, [[1, 0], [0, 4]])
    assert fid(real, fake) == pytest.approx(expected, abs=1e-6)


def test_is_eight_between_scaled_and_shifted_gaussians_in_four_dimensions() -> None:
    real, fake = exactly([0] * 4, (4 * torch.eye(4)).tolist()), exactly([1] * 4, torch.eye(4).tolist())
    assert fid(real, fake) == pytest.approx(8, abs=1e-9)


def test_bias_of_a_finite_sample_is_the_predicted_one() -> None:
    stream, dim, count = torch.Generator().manual_seed(2), 64, 10_000
    real, fake = (torch.randn(count, dim, generator=stream) for _ in range(2))
    assert fid(real, fake) == pytest.approx(2 * dim / count + dim * (dim + 1) / (2 * count), rel=0.1)


def test_statistics_of_the_real_features_stand_for_them() -> None:
    real, fake = exactly([0, 0], [[2, 1], [1, 2]]), exactly([1, -2], [[1, 0], [0, 4]])
    measured, loaded = FID(Setting(feature_dim=2)), FID(Setting(feature_dim=2))
    measured.update(real, real=True)
    set_state(loaded, real_state(measured))
    loaded.update(fake, real=False)
    assert named_values(loaded)["fid"] == fid(real, fake)
