"""Intra-class FID is the mean of the classes' distances, and sees what FID does not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from kept_rows import features, setting
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import named_values, real_state, set_state
from gan_lightning.metrics.intra_fid import IntraFID


def built(real: Tensor, fake: Tensor, classes: int) -> IntraFID:
    return IntraFID(setting(real, fake, labels=classes, fakes_labelled=True, class_names=None))


def intra_fid(real: Tensor, real_labels: Tensor, fake: Tensor, fake_labels: Tensor) -> float:
    metric = built(real, fake, int(real_labels.max()) + 1)
    metric.real_rows = {"features": real, "labels": real_labels}
    metric.finish_real()
    for rows, labels in zip(fake.split(50), fake_labels.split(50), strict=True):
        metric.update(rows, labels, real=False)
    return named_values(metric)["intra_fid"]


def fid(real: Tensor, fake: Tensor) -> float:
    statistics = [fid_features_to_statistics(rows.double()) for rows in (real, fake)]
    return fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]


def labelled(count: int, seed: int, dim: int = 12) -> tuple[Tensor, Tensor]:
    """Return features of three classes, of which there are unequal numbers, in a random order."""
    labels = (torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 3).square().div(3).long()
    return features(count, dim, seed) * (1 + labels[:, None]), labels


@pytest.mark.parametrize("dim", [12, 150])  # the second has more features than images in a class
def test_is_the_mean_of_torch_fidelitys_distances_of_the_classes(dim: int) -> None:
    (real, real_labels), (fake, fake_labels) = labelled(400, 0, dim), labelled(330, 1, dim)
    expected = [fid(real[real_labels == label], fake[fake_labels == label]) for label in range(3)]
    assert intra_fid(real, real_labels, fake, fake_labels) == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_is_the_mean_of_squared_shifts() -> None:
    real, labels = labelled(400, 0)
    shifts = torch.tensor([0.0, 1.0, 3.0])[labels]
    fake = real + shifts[:, None] * torch.eye(12)[0]
    assert intra_fid(real, labels, fake, labels) == pytest.approx((0 + 1 + 9) / 3, rel=1e-5)


def test_sees_samples_of_the_wrong_class() -> None:
    real, labels = labelled(400, 0)
    assert intra_fid(real, labels, real, labels) == 0
    swapped = torch.tensor([1, 2, 0])[labels]
    assert fid(real, real) == pytest.approx(0, abs=1e-6) and intra_fid(real, labels, real, swapped) > 1


def test_the_order_of_samples_does_not_matter() -> None:
    (real, real_labels), (fake, fake_labels) = labelled(400, 0), labelled(330, 1)
    order = torch.randperm(330, generator=torch.Generator().manual_seed(0))
    value = intra_fid(real, real_labels, fake, fake_labels)
    assert intra_fid(real, real_labels, fake[order], fake_labels[order]) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("dim", [12, 150])
def test_factors_are_measured_once_and_are_no_larger_than_the_features(dim: int) -> None:
    (real, real_labels), (fake, fake_labels) = labelled(400, 0, dim), labelled(330, 1, dim)
    metric = built(real, fake, 3)
    metric.real_rows = {"features": real, "labels": real_labels}
    metric.finish_real()
    state = real_state(metric)
    assert state["real_factors"].numel() <= real.numel()
    loaded = built(real, fake, 3)
    loaded.real_rows = metric.real_rows
    set_state(loaded, state)
    loaded.update(fake, fake_labels, real=False)
    assert named_values(loaded)["intra_fid"] == pytest.approx(intra_fid(real, real_labels, fake, fake_labels), rel=1e-9)


def test_a_class_with_one_sample_is_named_and_there_is_no_score() -> None:
    (real, labels), fake_labels = labelled(400, 0), torch.tensor([0] * 200 + [1] * 199 + [2])
    with pytest.warns(UserWarning, match="class 2 has 1 and .* raise evaluation.num_fakes"):
        assert math.isnan(intra_fid(real, labels, real, fake_labels))


@pytest.mark.parametrize(
    "known, sentence",
    [
        ({"labels": 0}, "data=mine is unlabelled: use metrics=.fid."),
        ({"fakes_labelled": False}, "the samples have no classes"),
        ({"num_fakes": 19}, "19 samples are fewer than 2 for each of the 10 classes"),
        ({"num_reals": 19}, "19 real images are fewer than 2"),
    ],
)
def test_what_cannot_be_measured_is_said(known: dict, sentence: str) -> None:
    fine = setting(features(50), features(50), labels=10, fakes_labelled=True, data="mine")
    with pytest.raises(UserError, match=sentence):
        IntraFID(replace(fine, **known))


def test_few_images_of_a_class_are_said() -> None:
    assert (
        "covariances of 24 features to about 20 samples of a class" in built(features(200), features(60), 3).doubts()[0]
    )
    assert built(features(200), features(200), 3).doubts() == []
