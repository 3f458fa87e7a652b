"""Photos: crops of scenes that are apart in the splits, the same at each making, and the mistakes one can make."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from gan_lightning.cli.train import train
from gan_lightning.data import Photos
from gan_lightning.data import drawn as drawing
from gan_lightning.data.photos import SCENES
from gan_lightning.errors import UserError

needs_pictures = pytest.mark.skipif(
    find_spec("skimage") is None, reason="needs scikit-image: pip install -e '.[photos]'"
)


@needs_pictures
def test_counts_and_scenes() -> None:
    data = Photos(image_size=(16, 24), num_crops=160)
    images, test = data.source("train").images, data.source("test").images
    assert images.shape == (160, 3, 16, 24) and test.shape == (16, 3, 16, 24) and images.dtype == torch.uint8
    assert len({image.numpy().tobytes() for image in [*images, *test]}) == 176
    assert not set(SCENES["train"]) & set(SCENES["test"]) and len(SCENES["train"]) == 8
    assert data.fields.keys() == {"image"} and images.float().std() > 30


@needs_pictures
def test_crops_are_cut_anew_as_they_were(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = Photos(image_size=16, num_crops=24)
    images = first.source("train").images
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path))
    again = Photos(image_size=16, num_crops=24, seed=7)
    assert torch.equal(again.source("train").images, images) and first.fingerprint() == again.fingerprint()
    assert torch.equal(Photos(image_size=16, num_crops=8).source("train").images, images[:8])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 7}, "data.image_size=7 is not possible; it is a whole number of at least 8"),
        ({"image_size": 512}, "has pictures of 300 pixels: set data.image_size to at most 300"),
        ({"num_classes": 9}, "data=photos has no classes; leave data.num_classes at 0, not 9"),
        ({"num_crops": 0}, "data.num_crops=0 is not possible; it is a whole number of at least 1"),
    ],
)
def test_mistakes(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Photos(**options)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    there = drawing.find_spec
    monkeypatch.setattr(drawing, "find_spec", lambda module: None if module == "skimage" else there(module))
    with pytest.raises(UserError, match=r"needs the package scikit-image: pip install 'gan-lightning\[photos\]'"):
        Photos().source("train")


@needs_pictures
def test_a_run(tmp_path: Path) -> None:
    words = ["data=photos", "data.num_crops=32", "data.image_size=16", "data.batch_size=8", "model=mlp", "metrics=[]"]
    done = train([*words, "trainer=cpu", "max_kimg=0.016", "callbacks=[limit]", f"run_dir={tmp_path / 'run'}"])
    assert done["images_seen"] == 16
