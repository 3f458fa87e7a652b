"""Labels from a file: a csv, or StyleGAN's dataset.json, for folders and archives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gan_lightning.cli.train import train
from gan_lightning.data import Folder
from gan_lightning.data.resolvers import folder_classes
from gan_lightning.errors import UserError

NAMES = ["00000/img0.png", "00000/img1.jpg", "deep/er/x.webp", "y.bmp"]
SIZE = {"image_size": 8, "batch_size": 2}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of four images."""
    for name in NAMES:
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (len(name) * 9, 0, 0)).save(path)
    return tmp_path / "images"


def labelled(root: Path, labels: str, **options: Any) -> tuple[list[int], list[str]]:
    data = Folder(root=str(root), labels=labels, num_classes=folder_classes(str(root), labels), **SIZE, **options)
    reference = data.reference()
    return [reference[i]["label"] for i in range(len(reference))], data.class_names or []


def table(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_csv_of_words(root: Path, tmp_path: Path) -> None:
    rows = dict(zip(NAMES, ["dog", "dog", "cat", "eel"], strict=True))
    for prefix, place in (("", root / "l.csv"), ("", tmp_path / "l.csv"), ("images/", tmp_path / "l.csv")):
        text = "file,label\n" + "".join(f"{prefix}{file},{word}\n" for file, word in rows.items())
        assert labelled(root, table(place, text)) == ([1, 1, 0, 2], ["cat", "dog", "eel"])
    spreadsheet = "\ufeffLabel;File\r\n" + "".join(
        f"{word};{file.replace('/', chr(92))}\r\n" for file, word in rows.items()
    )
    table(root / "sheet.csv", spreadsheet + "\r\n")
    assert labelled(root, "sheet.csv") == ([1, 1, 0, 2], ["cat", "dog", "eel"])


def test_numbers_are_names_in_natural_order(root: Path) -> None:
    table(root / "l.csv", "file,label\n" + "".join(f"{n},{w}\n" for n, w in zip(NAMES, [10, 9, 1, 9], strict=True)))
    assert labelled(root, "l.csv") == ([2, 1, 0, 1], ["1", "9", "10"])


def packed(root: Path, path: Path, top: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for found in sorted(root.rglob("*")):
            if found.is_file():
                file.write(found, f"{top}{found.relative_to(root).as_posix()}")
    return path


def test_stylegans_json_in_a_folder_and_in_a_zip(root: Path, tmp_path: Path) -> None:
    entries = [[name, number] for name, number in zip(NAMES, [3, 0, 2, 3], strict=True)]
    table(root / "dataset.json", json.dumps({"labels": entries}))
    expected = ([2, 0, 1, 2], ["0", "2", "3"])
    assert labelled(root, "dataset.json") == expected
    assert labelled(packed(root, tmp_path / "set.zip"), "dataset.json") == expected
    outside = table(tmp_path / "outside.json", json.dumps({"labels": [[f"all/{n}", w] for n, w in entries]}))
    nested = packed(root, tmp_path / "nested.zip", "all/")
    assert labelled(nested, outside) == labelled(nested, "all/dataset.json") == expected


def test_it_is_used_only_when_asked_for(root: Path) -> None:
    table(root / "dataset.json", json.dumps({"labels": [[name, 1] for name in NAMES]}))
    assert folder_classes(str(root), None) == 0 and Folder(root=str(root), **SIZE).source("train").labels is None


def test_classes_and_their_numbers_follow_the_file(root: Path) -> None:
    first = labelled(root, table(root / "l.csv", "file,label\n" + "".join(f"{name},a{name[0]}\n" for name in NAMES)))
    second = labelled(root, table(root / "l.csv", "file,label\n" + "".join(f"{name},b\n" for name in NAMES)))
    assert first == ([0, 0, 1, 2], ["a0", "ad", "ay"]) and second == ([0] * 4, ["b"])


def test_rows_without_images_are_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{name},a\n" for name in [*NAMES, "gone.png", "lost/too.png"])
    table(root / "l.csv", f"file,label\n{rows}")
    assert labelled(root, "l.csv") == ([0] * 4, ["a"])
    assert f"folder: 2 rows of {root / 'l.csv'} without an image, first gone.png" in capsys.readouterr().out


ALL = "".join(f"{name},a\n" for name in NAMES)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "file,label\ny.bmp,a\n", r"3 images have no label in .*l.csv, first .*00000/img0.png: add a row"),
        ("l.csv", f"file,label\n{ALL}gone.png,b\n", r"l.csv has rows of class 'b', and no image of it is in "),
        ("l.csv", f"file,label\n{ALL}y.bmp,b\n", r"l.csv gives y.bmp two labels, 'a' and 'b': an image has one label"),
        ("l.csv", f"file,label\n{ALL}./y.bmp,b\n", r"gives ./y.bmp two labels, 'a' and 'b': an image has one label"),
        ("l.csv", "file,smiling,male\ny.bmp,1,0\n", r"begins with 'file,smiling,male': its first line must be file,l"),
        (
            "l.csv",
            "file,label,label2\ny.bmp,1,0\n",
            r"columns file, label, label2: an image has one .*leave out label2",
        ),
        ("l.csv", "file,label\ny.bmp,1,0\n", r"l.csv line 2 has 3 cells where file and label are expected"),
        ("l.csv", "file,label\ny.bmp,\n", r"l.csv line 2 has no label: give both"),
        ("l.csv", "file,label\n", r"l.csv has no labels: it needs a row"),
        ("l.csv", "", r"l.csv begins with 'nothing': its first line must be file,label"),
        ("l.csv", 'file,label\n"y.bmp,1\n', r"l.csv line \d cannot be read as csv"),
        ("d.json", '{"labels": null}', r"d.json tells no labels .* leave data.labels out"),
        (
            "d.json",
            '{"labels": [["y.bmp", [1, 0]]]}',
            r"entry 1, y.bmp, has the label \[1, 0\]: an image has one label",
        ),
        (
            "d.json",
            '{"labels": [["y.bmp", 0.5]]}',
            r"entry 1, y.bmp, has the label 0.5: it is a whole number or a name",
        ),
        ("d.json", '{"labels": [["y.bmp", null]]}', r"d.json has no labels"),
        ("d.json", '{"labels": ["y.bmp"]}', r'entry 1 is "y.bmp" and must be \[FILE, NUMBER\]'),
        ("d.json", '{"labels": {"y.bmp": 1}}', r"d.json has no list of labels"),
        ("d.json", "{", r"d.json cannot be read as JSON"),
    ],
)
def test_files_that_cannot_be_labels(root: Path, name: str, text: str, message: str) -> None:
    table(root / name, text)
    with pytest.raises(UserError, match=message):
        labelled(root, name)


def test_a_file_that_is_not_there_or_no_text(root: Path) -> None:
    with pytest.raises(UserError, match=r"data.labels=no.csv is not there: looked in .*images, and for /.*no.csv"):
        labelled(root, "no.csv")
    (root / "l.csv").write_bytes(b"file,label\n\xff,1\n")
    with pytest.raises(UserError, match=r"l.csv cannot be read .*: it is a text in UTF-8"):
        labelled(root, "l.csv")


def test_a_root_that_is_not_there_is_what_is_named_where_its_classes_are_counted(tmp_path: Path) -> None:
    words = ["data=folder", f"data.root={tmp_path}/none", "data.labels=folders", "conditioning=concat", "trainer=cpu"]
    with pytest.raises(UserError, match=r"data.root=.*/none is not there, so that its classes .* cannot be counted"):
        train([*words, f"run_dir={tmp_path}/run"])


def test_a_file_of_labels_stops_before_training_with_its_own_sentence(root: Path, tmp_path: Path) -> None:
    words = ["data=folder", f"data.root={root}", "data.labels=none.csv", "conditioning=concat", "trainer=cpu"]
    with pytest.raises(UserError, match=r"data.labels=none.csv is not there: looked in "):
        train([*words, f"run_dir={tmp_path}/run"])
