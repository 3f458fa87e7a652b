"""A generator of pictures that are not square: in files, in grids, in other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.cli.generate import generate
from gan_lightning.inference.export import export_generator, export_onnx
from gan_lightning.inference.load import load
from gan_lightning.networks import (
    BigGANGenerator,
    DCGANGenerator,
    FastGANGenerator,
    MLPGenerator,
    ProGANGenerator,
    R3GANGenerator,
    ResNetGenerator,
)
from gan_lightning.pixels import enlarge, grid

Make = Callable[..., Any]
WIDE = {
    "mlp": lambda: MLPGenerator([8, 12], 1, latent_dim=4, hidden=(16,)),
    "dcgan": lambda: DCGANGenerator([8, 12], 1, latent_dim=4, width=4),
    "resnet": lambda: ResNetGenerator([16, 20], 1, latent_dim=4, width=2, attention=8),
    "biggan": lambda: BigGANGenerator([16, 32], 1, width=2),
    "progan": lambda: ProGANGenerator([8, 12], 1, latent_dim=4, channel_max=4),
    "r3gan": lambda: R3GANGenerator([8, 12], 1, latent_dim=4, width=8),
    "fastgan": lambda: FastGANGenerator([32, 48], 1, latent_dim=4, width=2),
}


@pytest.mark.parametrize("name", WIDE)
def test_onnx_makes_the_same_wide_pictures(name: str, tmp_path: Path, weathered: Make, describe: Make) -> None:
    import onnxruntime

    network = weathered(WIDE[name]())
    loaded = load(export_generator(network, tmp_path, describe(network)))
    assert loaded.image_shape == loaded.sample(2).shape[1:] and loaded.image_shape[1] < loaded.image_shape[2]
    session = onnxruntime.InferenceSession(export_onnx(loaded, tmp_path / "generator.onnx"))
    for count in (1, 3):
        z = torch.randn(count, network.latent_dim)
        with torch.no_grad():
            expected = loaded.network(z).numpy()
        image = session.run(["image"], {"z": z.numpy()})[0]
        assert image.shape == expected.shape and np.abs(image - expected).max() < 1e-4


def test_the_command_line_writes_wide_files_and_grids(tmp_path: Path, weathered: Make, describe: Make) -> None:
    network = weathered(WIDE["dcgan"]())
    path = export_generator(network, tmp_path, describe(network))
    generate([f"ckpt={path}", "n=5", f"out={tmp_path}/files", "device=cpu"])
    generate([f"ckpt={path}", "n=5", f"out={tmp_path}/grid.png", "device=cpu"])
    with Image.open(tmp_path / "files/00004.png") as file, Image.open(tmp_path / "grid.png") as sheet:
        assert file.size == (12, 8) and sheet.size == (3 * 14 + 2, 2 * 10 + 2)


def test_a_grid_holds_each_picture_whole() -> None:
    images = torch.arange(1, 6, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 4, 9) * 50
    pixels = np.array(grid(images, columns=2, padding=1))
    assert pixels.shape == (3 * 5 + 1, 2 * 10 + 1)
    assert all((pixels == 50 * number).sum() == 4 * 9 for number in range(1, 6))
    assert enlarge(Image.fromarray(pixels), 200).size == (210, 160)
