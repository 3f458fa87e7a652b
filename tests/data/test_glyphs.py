"""Glyphs: how many, which classes, apart in the splits, and variants that are the same wherever they are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gan_lightning.cli.train import train
from gan_lightning.data import Glyphs
from gan_lightning.errors import UserError


def test_counts_classes_and_splits() -> None:
    data, faces = Glyphs(image_size=24), Glyphs(image_size=24, classes="face", num_classes=22)
    train_, test = data.source("train"), data.source("test")
    assert (len(train_), len(test)) == (1239, 125) and len(train_) + len(test) == 62 * 22
    assert train_.images.shape == (1239, 1, 24, 24) and set(train_.labels.tolist()) == set(range(62))
    assert data.class_names[:11] == list("0123456789A") and faces.class_names[0] == "DejaVuSans"
    assert set(faces.source("train").labels.tolist()) == set(range(22))
    assert torch.equal(faces.source("train").images, train_.images)
    assert data.fingerprint() != faces.fingerprint()
    splits = [{image.numpy().tobytes() for image in source.images} for source in (train_, test)]
    assert not splits[0] & splits[1] and len(splits[0]) == 1239


def test_letters_are_black_on_white_within_the_image() -> None:
    images = Glyphs(image_size=(16, 32)).source("train").images
    assert images.shape[1:] == (1, 16, 32) and (images.flatten(1).amin(1) < 128).all()
    assert (images[..., [0, -1]] == 255).all()


def test_variants_are_drawn_anew_as_they_were(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path / "one"))
    options = dict(image_size=12, channels=3, variants=2, shear=0.3, weight=0.1, colours=True)
    first = Glyphs(**options)
    images = first.source("train").images
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path / "two"))
    again = Glyphs(**options, seed=5)
    assert torch.equal(images, again.source("train").images) and first.fingerprint() == again.fingerprint()
    assert len(images) == 2 * 1239 and not (images[0::2] == images[1::2]).flatten(1).all(1).any()
    assert torch.equal(first.source("train").labels[0::2], first.source("train").labels[1::2])


def test_each_key_changes_the_images() -> None:
    plain = Glyphs(image_size=16).source("test").images
    for option in ({"shear": 0.5}, {"weight": 0.2}, {"colours": True}):
        assert not torch.equal(Glyphs(image_size=16, **option).source("test").images, plain), option
    heavier = Glyphs(image_size=16, weight=0.2).source("test").images
    assert heavier.double().mean() < plain.double().mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": "style"}, "data.classes=style is not possible; take character or face"),
        ({"num_classes": 22}, "data.num_classes=22 is not possible: data.classes=character has 62"),
        ({"variants": 0}, "data.variants=0 is not possible; it is a whole number of at least 1"),
        ({"variants": 3}, "data.variants above 1 differ in nothing: set data.shear"),
        ({"shear": 2}, "data.shear=2 is not possible; it is a number from 0 to 1"),
        ({"weight": -0.1}, "data.weight=-0.1 is not possible; it is a number from 0 to 0.2"),
        ({"image_size": 7}, "data.image_size=7 is not possible; it is a whole number of at least 8"),
    ],
)
def test_mistakes(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Glyphs(**options)


def test_a_run(tmp_path: Path) -> None:
    words = ["data=glyphs", "data.classes=face", "data.image_size=16", "data.batch_size=8", "model=mlp", "metrics=[]"]
    done = train([*words, "trainer=cpu", "max_kimg=0.016", "callbacks=[limit]", f"run_dir={tmp_path / 'run'}"])
    assert done["images_seen"] == 16 and not (tmp_path / "run/LICENCE-DATA.txt").exists()
