"""FID agrees with torch-fidelity, with torchmetrics and with closed forms, in whichever form it is computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Identity, Setting, named_values, real_state, set_state
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.frechet import Moments, distance, distance_of_rows, factor


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


# full covariances; samples fewer than features; real images fewer; both, and both but more samples than real images
SIZES = [(300, 307, 24), (300, 40, 64), (40, 300, 64), (47, 40, 64), (40, 47, 64)]


def features(reals: int, fakes: int, dim: int) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(1)
    mixing = torch.randn(dim, dim, generator=stream)
    real = torch.randn(reals, dim, generator=stream).relu() @ mixing
    return real, (torch.randn(fakes, dim, generator=stream) * 1.5 + 0.3).relu() @ mixing


@pytest.mark.parametrize("reals, fakes, dim", SIZES)
def test_agrees_with_torch_fidelity(reals: int, fakes: int, dim: int) -> None:
    real, fake = features(reals, fakes, dim)
    statistics = [fid_features_to_statistics(features.double()) for features in (real, fake)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert fid(real, fake) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("reals, fakes, dim", SIZES)
def test_agrees_with_torchmetrics(reals: int, fakes: int, dim: int) -> None:
    real, fake = features(reals, fakes, dim)
    reference = FrechetInceptionDistance(feature=Identity(dim))
    reference.update(real, real=True)
    reference.update(fake, real=False)
    assert fid(real, fake) == pytest.approx(float(reference.compute()), rel=1e-6)


@pytest.mark.parametrize("reals, fakes, dim", SIZES)
def test_both_forms_are_the_same_distance(reals: int, fakes: int, dim: int) -> None:
    real, fake = (rows.double() for rows in features(reals, fakes, dim))
    nothing = Moments(torch.zeros(()).double(), torch.zeros(dim).double(), torch.zeros(dim, dim).double())
    root = factor(real.T.cov())
    full = distance(real.mean(dim=0), root, nothing.add(fake))
    assert float(distance_of_rows(real.mean(dim=0), root, fake)) == pytest.approx(float(full), rel=1e-7)


def test_the_factor_is_no_larger_than_the_rank() -> None:
    real, _ = features(40, 2, 64)
    root = factor(real.double().T.cov())
    assert root.shape == (64, 39)
    torch.testing.assert_close(root @ root.T, real.double().T.cov())


@pytest.mark.parametrize("reals, fakes, dim", SIZES)
def test_a_set_against_itself_is_exactly_nothing(reals: int, fakes: int, dim: int) -> None:
    for rows in features(reals, fakes, dim):
        assert fid(rows, rows) == 0
        assert fid(rows, rows.flip(0) + 1e-3) == pytest.approx(dim * 1e-6, rel=1e-2)  # and next to nothing is not


@pytest.mark.parametrize("portion", [1, 7, 64, 1000])
def test_portions_and_their_order_do_not_matter(portion: int) -> None:
    real, fake = features(300, 307, 24)
    metric = FID(Setting(feature_dim=24))
    for rows, is_real in ((real, True), (fake, False)):
        for part in reversed(rows.split(portion)):
            metric.update(part, real=is_real)
    assert named_values(metric)["fid"] == pytest.approx(fid(real, fake), rel=1e-9)


def test_a_mean_far_from_zero_costs_no_digits() -> None:
    real, fake = features(300, 307, 24)
    assert fid(real.double() + 1e6, fake.double() + 1e6) == pytest.approx(fid(real, fake), rel=1e-6)


def test_too_few_images_are_named_with_the_number_of_features() -> None:
    setting = Setting(feature_dim=2048, num_reals=50_000, num_fakes=1000)
    (doubt,) = FID(setting).doubts()
    assert "2,048 features to 1,000 samples" in doubt
    assert FID(Setting(feature_dim=64, num_reals=50_000, num_fakes=1000)).doubts() == []


@pytest.mark.parametrize("reals, fakes, missing", [(1, 9, "real images"), (9, 1, "samples"), (9, 0, "samples")])
def test_one_image_has_no_covariance(reals: int, fakes: int, missing: str) -> None:
    metric = FID(Setting(feature_dim=3))
    metric.update(torch.rand(reals, 3), real=True)
    if fakes:
        metric.update(torch.rand(fakes, 3), real=False)
    with pytest.raises(UserError, match=f"at least 2 {missing}"):
        metric.compute()


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
    measured.finish_real()
    set_state(loaded, real_state(measured))
    loaded.update(fake, real=False)
    assert named_values(loaded)["fid"] == fid(real, fake)
