"""Copies are found out: a ratio of 0, and the picture shows the original beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from subjects import Splits, subject
from torch import Tensor

from gan_lightning.metrics.base import Setting, named_values
from gan_lightning.metrics.nearest import FILE, NearestTrainingImages, nearest

SETTING = Setting(image_shape=(1, 8, 8))


class Pixels:
    """An extractor whose features are the pixels."""

    fingerprint = "pixels"

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        return {"features": images.flatten(1).float()}


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randint(256, (count, 1, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path / "cache"))


def ratio(reals: Tensor, fakes: Tensor, folder: Path | None = None, **options: int) -> float:
    metric = NearestTrainingImages(SETTING, **options)
    data = Splits(train=(reals, None))
    metric.update(subject(data, lambda a, b: fakes[a:b], extractor=Pixels(), num_fakes=len(fakes), folder=folder))
    return named_values(metric)["nearest_ratio"]


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_the_nearest_are_those_of_brute_force_also_far_from_the_origin(offset: float) -> None:
    stream = torch.Generator().manual_seed(0)
    points, others = torch.randn(50, 6, generator=stream) + offset, torch.randn(300, 6, generator=stream) + offset
    points[:5] = others[10:15]
    distances, places = nearest(points, others, 4)
    exact = (points[:, None].double() - others.double()).norm(dim=2).sort(dim=1, stable=True)
    torch.testing.assert_close(distances, exact.values[:, :4])
    assert torch.equal(places, exact.indices[:, :4])
    assert torch.equal(places[:5, 0], torch.arange(10, 15)) and not distances[:5, 0].any()


def test_copies_have_no_distance_and_new_images_are_about_as_far_as_real_ones() -> None:
    reals = images(400)
    assert ratio(reals, reals[:50].clone()) == 0
    assert ratio(reals, images(200, seed=1)) == pytest.approx(1, abs=0.02)


def test_the_picture_shows_the_nearest_beside_the_samples_that_are_nearest(tmp_path: Path) -> None:
    reals, fakes = images(60), images(20, seed=1)
    fakes[13] = reals[7]
    ratio(reals, fakes, tmp_path, rows=3, neighbours=2)
    picture = np.array(Image.open(tmp_path / FILE))
    factor = picture.shape[0] // (3 * 10 + 2)
    pixels = picture[::factor, ::factor]
    assert pixels.shape == (32, 12 + 6 + 22)
    assert np.array_equal(pixels[2:10, 2:10], fakes[13, 0]) and np.array_equal(pixels[2:10, 20:28], reals[7, 0])
    assert (pixels[:, 12:18] == 255).all()


def test_training_images_are_extracted_once_for_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = ratio(images(60), images(20, seed=1))
    seen = []
    extract = Pixels.__call__
    monkeypatch.setattr(Pixels, "__call__", lambda self, batch: seen.append(len(batch)) or extract(self, batch))
    assert ratio(images(60), images(20, seed=1)) == expected
    assert sum(seen) == 20
    ratio(images(60, seed=2), images(20, seed=1))
    assert sum(seen) == 20 + 20 + 60


def test_fewer_training_images_than_neighbours_are_all_shown(tmp_path: Path) -> None:
    ratio(images(3), images(4, seed=1), tmp_path)
    assert (tmp_path / FILE).is_file()
