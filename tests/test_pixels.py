"""Pixels: exact rounding, exact placement in the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_lightning.pixels import grid, to_uint8, to_unit


def test_uint8_is_the_inverse_of_the_models_scaling_and_clamps() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(levels.float() / 127.5 - 1), levels)
    assert to_uint8(torch.tensor([-1.2, 1.2, 0.0, 1e9])).tolist() == [0, 255, 128, 255]


def test_unit_range_ends_are_exact() -> None:
    assert to_unit(torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])).tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_grid_places_images_in_reading_order(channels: int, mode: str) -> None:
    images = torch.randint(1, 256, (5, channels, 4, 6), dtype=torch.uint8)
    picture = grid(images, columns=3, padding=1)
    assert picture.mode == mode
    assert picture.size == (3 * 7 + 1, 2 * 5 + 1)
    pixels = np.asarray(picture).reshape(11, 22, channels)
    assert np.array_equal(pixels[6:10, 8:14], images[4].permute(1, 2, 0).numpy())  # row 1, column 1
    assert not pixels[6:, 15:].any()  # the missing sixth image
    assert not pixels[5].any()


def test_grid_is_square_by_default() -> None:
    assert grid(torch.zeros(16, 1, 8, 8, dtype=torch.uint8), padding=0).size == (32, 32)
    assert grid(torch.zeros(5, 1, 8, 8, dtype=torch.uint8), padding=0).size == (24, 16)
