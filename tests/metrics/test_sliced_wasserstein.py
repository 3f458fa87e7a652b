"""SWD is 0 for a set against itself, the closed form for a shift, and sees what ProGAN's sees."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
from omegaconf import OmegaConf
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting, named_values, real_state, set_state
from gan_lightning.metrics.sliced_wasserstein import (
    SlicedWasserstein,
    laplacian_level,
    level_sides,
    sliced_wasserstein,
)
from gan_lightning.scores import LOWER_IS_BETTER


def images(count: int = 40, side: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, channels, side, side), generator=stream, dtype=torch.uint8)


def swd(real: Tensor, fake: Tensor, batch_size: int = 16, **options: int) -> dict[str, float]:
    metric = SlicedWasserstein(Setting(image_shape=tuple(real.shape[1:])), **({"directions": 64} | options))
    for part in real.split(batch_size):
        metric.update(part, real=True)
    metric.finish_real()
    for part in fake.split(batch_size):
        metric.update(part)
    return named_values(metric)


def directions(count: int) -> Tensor:
    angles = torch.arange(count) * (2 * math.pi / count)
    return torch.stack([angles.cos(), angles.sin()], 1)


def test_a_shift_in_the_plane_is_two_over_pi_of_its_length() -> None:
    points, shift = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)), torch.tensor([3.0, -4.0])
    assert sliced_wasserstein(points, points + shift, directions(720)) == pytest.approx(2 / math.pi * 5, rel=1e-5)


def test_the_order_of_points_does_not_matter() -> None:
    stream = torch.Generator().manual_seed(0)
    first, second = torch.randn(500, 2, generator=stream), torch.randn(500, 2, generator=stream)
    mixed = first[torch.randperm(500, generator=stream)]
    assert sliced_wasserstein(first, second, directions(50)) == sliced_wasserstein(mixed, second, directions(50))
    assert sliced_wasserstein(first, mixed, directions(50)) == 0


def test_the_pyramid_is_that_of_scipy_and_adds_up() -> None:
    picture = images(2, 37, 3).float()
    line = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(line, line)[None, None]

    def halved(x):
        return scipy.ndimage.convolve(x, kernel, mode="mirror")[:, :, ::2, ::2]

    def doubled(x, like):
        spread = np.zeros_like(like)
        spread[:, :, ::2, ::2] = x
        return scipy.ndimage.convolve(spread, 4 * kernel, mode="mirror")

    finest = picture.double().numpy()
    middle = halved(finest)
    coarsest = halved(middle)
    expected = [finest - doubled(middle, finest), middle - doubled(coarsest, middle), coarsest]
    for level, values in enumerate(expected):
        np.testing.assert_allclose(laplacian_level(picture, level, 3).numpy(), values, atol=1e-3)


@pytest.mark.parametrize(
    "side, expected", [(8, [8]), (15, [15]), (16, [16]), (31, [31]), (32, [32, 16]), (256, [256, 128, 64, 32, 16])]
)
def test_levels_go_down_to_sixteen_pixels_and_small_images_are_one(side: int, expected: list[int]) -> None:
    assert level_sides(side) == expected


@pytest.mark.parametrize("side, channels", [(8, 1), (32, 3)])
def test_a_set_against_itself_is_zero_at_every_level(side: int, channels: int) -> None:
    values = swd(images(side=side, channels=channels), images(side=side, channels=channels))
    assert set(values) == {"swd", *(f"swd_{s}px" for s in level_sides(side))}
    assert set(values.values()) == {0.0}


def test_the_mean_is_that_of_the_levels_and_blur_shows_at_the_finest() -> None:
    real, fake = images(), images(seed=1)
    kernel = torch.ones(3, 1, 3, 3) / 9
    blurred = torch.nn.functional.conv2d(fake.float(), kernel, padding=1, groups=3).byte()
    good, bad = swd(real, fake), swd(real, blurred)
    assert bad["swd"] == pytest.approx((bad["swd_32px"] + bad["swd_16px"]) / 2)
    assert bad["swd_32px"] > 2 * good["swd_32px"] > 0


def test_batches_do_not_matter_nor_does_the_cache() -> None:
    real, fake = images(), images(seed=1)
    expected = swd(real, fake)
    assert swd(real, fake, batch_size=7) == expected
    options = {"directions": 64}
    setting = Setting(image_shape=(3, 32, 32))
    measured, loaded = SlicedWasserstein(setting, **options), SlicedWasserstein(setting, **options)
    measured.update(real, real=True)
    measured.finish_real()
    set_state(loaded, real_state(measured))
    loaded.update(fake)
    assert named_values(loaded) == expected


def test_of_the_larger_set_as_many_images_count_as_the_smaller_has() -> None:
    real, fake = images(40), images(25, seed=1)
    values = swd(real, fake)
    assert math.isfinite(values["swd"]) and values["swd"] > 0
    assert swd(real, fake, images=10)["swd"] != values["swd"]


def test_images_of_one_colour_are_no_nan() -> None:
    values = swd(images(channels=1), torch.zeros(30, 1, 32, 32, dtype=torch.uint8))
    assert all(math.isfinite(value) for value in values.values()) and values["swd"] > 100


def test_images_smaller_than_a_patch_are_refused() -> None:
    with pytest.raises(UserError, match=r"metrics=\[swd\] compares patches of 7x7 pixels, and the images have 4"):
        SlicedWasserstein(Setting(image_shape=(1, 4, 4)))


def test_the_levels_of_every_shipped_data_set_are_known_scores() -> None:
    sides = {
        OmegaConf.load(path).get("image_size") for path in (Path(__file__).parents[2] / "conf/data").glob("*.yaml")
    } - {None}
    assert {48, 64} <= sides
    levels = {level for side in sides for level in level_sides(side)}
    assert {f"swd_{level}px" for level in levels} <= set(LOWER_IS_BETTER)
