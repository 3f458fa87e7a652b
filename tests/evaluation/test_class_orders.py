"""A generator and its data set number classes alike when they are measured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gan_lightning.data import Folder
from gan_lightning.errors import UserError
from gan_lightning.evaluation.trained_generators import TrainedGenerators
from gan_lightning.inference.former import FORMAT
from gan_lightning.metrics.ms_ssim import MSSSIMDiversity
from gan_lightning.networks.dcgan import DCGANGenerator

NUMBERS = [str(number) for number in range(11)]


def save(path: Path, root: Path, names: list[str]) -> Path:
    network = DCGANGenerator(8, 1, num_classes=11, latent_dim=4, width=4)
    data = {"_target_": "gan_lightning.data.Folder", "root": str(root), "labels": "folders", "num_classes": 11}
    entry: dict[str, Any] = {
        "format": FORMAT,
        "config": {"data": {**data, "image_size": 8, "channels": 1, "batch_size": 2}},
        "networks": {"generator": network.arguments},
        "data": {"name": "folder", "class_names": names},
    }
    state = {f"generator.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "gan_lightning": entry}, path)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of 11 classes, whose images are as bright as their numbers."""
    for name in NUMBERS:
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("L", (8, 8), 20 * int(name)).save(tmp_path / "set" / name / "x.png")
    return tmp_path / "set"


def test_data_follow_the_order_of_the_checkpoint(root: Path, tmp_path: Path) -> None:
    former = sorted(NUMBERS)  # 0, 1, 10, 2, ...
    for given in (None, Folder(root=str(root), labels="folders", num_classes=11, image_size=8, channels=1)):
        measured = TrainedGenerators({"ms_ssim": MSSSIMDiversity}, given, num_fakes=22)
        loaded = measured.load(save(tmp_path / "former.ckpt", root, former))
        images, labels = measured.data.reference().images, measured.data.reference().labels
        assert [former[label] for label in labels] == [str(int(image[0, 0, 0]) // 20) for image in images]
        assert measured.data.class_names == loaded.class_names == former
        with pytest.raises(UserError, match=r"now.ckpt numbers the same classes in another order than the first one"):
            measured.load(save(tmp_path / "now.ckpt", root, NUMBERS))


def test_other_classes_than_those_of_the_training_are_told(root: Path, tmp_path: Path) -> None:
    checkpoint = save(tmp_path / "all.ckpt", root, NUMBERS)
    shutil.rmtree(root / "3")
    with pytest.warns(
        UserWarning, match=r"trained with other classes .*on one side alone: 3\): scores by class compare"
    ):
        TrainedGenerators({"ms_ssim": MSSSIMDiversity}, num_fakes=22).load(checkpoint)
