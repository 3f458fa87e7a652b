"""A held-out split of a folder: by a share of the names, or a sub-folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data import Folder
from gan_lightning.data.holdout import hash_of
from gan_lightning.data.resolvers import folder_classes
from gan_lightning.errors import UserError

SIZE = {"image_size": 8, "batch_size": 2}


def fill(root: Path, names: list[str]) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        level = int(hash_of(name) * 255)  # each image tells its name
        Image.new("RGB", (8, 8), (level, level, level)).save(path)
    return root


def levels(data: Folder, split: str) -> list[int]:
    source = data.source(split)
    return sorted(int(source.image(index)[0, 0, 0]) for index in range(len(source)))


def expected(names: list[str]) -> list[int]:
    return sorted(int(hash_of(name) * 255) for name in names)


def test_a_share_is_held_out_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{k}/{i}.png" for k in "ab" for i in range(60)]
    data = Folder(root=str(fill(tmp_path, names)), holdout=0.25, **SIZE)
    out = [name for name in names if hash_of(name) < 0.25]
    assert 18 <= len(out) <= 42  # 30 expected, standard deviation 4.7
    assert levels(data, "test") == expected(out) and levels(data, "train") == expected([*set(names) - set(out)])
    assert data.splits == ("train", "test") and data.fingerprint("test") != data.fingerprint("train")
    line = f"folder: {len(out)} of them held out as the split 'test' (data.holdout=0.25), {120 - len(out)} to train on"
    assert capsys.readouterr().out.count(line) == 1
    assert data.fingerprint() != Folder(root=str(tmp_path), **SIZE).fingerprint()
    trained = torch.cat([batch["image"][:, 0, 0, 0] for batch in data.train_dataloader()])
    assert not {*trained.tolist()} & {*expected(out)} - {*expected([*set(names) - set(out)])}


def test_files_stay_in_their_split_when_others_come_and_go(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(40)]
    before = Folder(root=str(fill(tmp_path, names)), holdout=0.3, **SIZE)
    held = {name for name in names if hash_of(name) < 0.3}
    assert len(before.source("test")) == len(held)
    fill(tmp_path, [f"another/{i}.png" for i in range(40)])
    for name in names[::2]:
        (tmp_path / name).unlink()
    now = Folder(root=str(tmp_path), holdout=0.3, **SIZE)._found
    kept = {name for name in now.there.names if "/" not in name and now.holdout.split(name) == "test"}
    assert kept == held & set(names[1::2])
    assert hash_of("e\u0301.png") == hash_of("\u00e9.png")  # as two file systems spell it


def test_a_known_hash() -> None:
    """The splits of today's runs must be those of tomorrow's."""
    assert [round(hash_of(name), 6) for name in ("0.png", "cat/1.jpg")] == [0.894919, 0.230505]


def test_both_splits_have_the_same_classes(tmp_path: Path) -> None:
    names = [f"{k}/{i}.png" for k in range(11) for i in range(10)]
    options = {"root": str(fill(tmp_path, names)), "labels": "folders", "num_classes": 11, **SIZE}
    train, test = Folder(**options, holdout=0.1), Folder(**options, holdout=0.1)
    for data, split in ((train, "train"), (test, "test")):
        source = data.source(split)
        split_names = [name for name in sorted(names) if (hash_of(name) < 0.1) == (split == "test")]
        assert source.labels.tolist() == [int(name.split("/")[0]) for name in split_names]
        assert data.class_names == [str(number) for number in range(11)]


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_is_held_out(tmp_path: Path, packed: bool) -> None:
    names = ["train/10/a.png", "train/9/b.png", "train/9/c.png", "test/9/d.png", "test/10/e.png", "val/9/f.png"]
    root = fill(tmp_path / "set", names)
    if packed:
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as file:
            for name in names:
                file.write(root / name, name)
        root = tmp_path / "set.zip"
    options = {"root": str(root), "labels": "folders", **SIZE}
    data = Folder(**options, num_classes=folder_classes(str(root), "folders", "test"), holdout="test")
    assert levels(data, "train") == expected(names[:3]) and levels(data, "test") == expected(names[3:5])
    assert data.class_names == ["9", "10"] and data.num_classes == 2
    assert data.source("train").labels.tolist() == [1, 0, 0] and data.source("test").labels.tolist() == [1, 0]


def test_without_a_folder_train_all_others_are_trained_on(tmp_path: Path) -> None:
    names = ["a/1.png", "b/2.png", "2024/a/3.png", "2024/b/4.png", "2024/b/5.png"]
    options = {"root": str(fill(tmp_path, names)), "labels": "folders", **SIZE}
    data = Folder(**options, num_classes=folder_classes(str(tmp_path), "folders", 2024), holdout=2024)
    assert data.num_images == 2 and data.source("test").labels.tolist() == [0, 1, 1]
    assert data.class_names == ["a", "b"] and data.num_classes == 2


def test_deep_images_have_one_white_in_both_splits(tmp_path: Path) -> None:
    names = [f"{i}.png" for i in range(12)]
    out = [name for name in names if hash_of(name) < 0.4]
    for name in names:
        value = 4000 if name in out else 1000  # the held-out ones are brighter
        Image.fromarray(np.full((8, 8), value, np.uint16)).save(tmp_path / name)
    data = Folder(root=str(tmp_path), holdout=0.4, channels=1, **SIZE)
    assert set(levels(data, "train")) == {round(1000 / 4095 * 255)} and set(levels(data, "test")) == {249}


@pytest.mark.parametrize(
    ("holdout", "message"),
    [
        (0.0, r"data.holdout=0.0 is not possible; it is a share between 0 and 1, such as 0.1, or the name of a folder"),
        (1.0, r"data.holdout=1.0 is not possible"),
        (True, r"data.holdout=True is not possible"),
        (-0.1, r"data.holdout=-0.1 is not possible"),
        ("test", r"data.holdout=test is no folder in data.root \(there: a, b\), and no share such as 0.1"),
        (1e-9, r"data.holdout=1e-09 leaves no image in the split 'test' of "),
    ],
)
def test_what_cannot_be_held_out(tmp_path: Path, holdout: float | str, message: str) -> None:
    fill(tmp_path, ["a/1.png", "b/2.png"])
    with pytest.raises(UserError, match=message):
        Folder(root=str(tmp_path), holdout=holdout, **SIZE).source("test")


def test_classes_that_only_one_side_has(tmp_path: Path) -> None:
    fill(tmp_path, ["train/a/1.png", "train/b/2.png", "test/a/3.png", "test/c/4.png"])
    with pytest.raises(UserError, match=r"test/c/4.png is of class 'c', which has no folder to train on"):
        Folder(root=str(tmp_path), labels="folders", num_classes=2, holdout="test", **SIZE).source("train")
    names = [name for name in map("{}.png".format, range(20)) if hash_of(f"z/{name}") < 0.5][:2]
    fill(tmp_path / "shared", [f"z/{name}" for name in names] + [f"y/{i}.png" for i in range(20)])
    data = Folder(root=str(tmp_path / "shared"), labels="folders", num_classes=2, holdout=0.5, **SIZE)
    with pytest.raises(UserError, match=r"data.holdout=0.5 leaves no image to train on of class 'z'"):
        data.source("train")


def test_without_a_holdout_the_way_to_one_is_named(tmp_path: Path) -> None:
    data = Folder(root=str(fill(tmp_path, ["1.png"])), **SIZE)
    with pytest.raises(UserError, match=r"no split 'test' as long as no images are held out: set data.holdout=0.1"):
        data.source("test")
