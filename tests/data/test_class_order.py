"""The order of class names, and which class a word means."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from gan_lightning.data import Folder
from gan_lightning.data.class_order import class_number, natural_order
from gan_lightning.data.resolvers import folder_classes
from gan_lightning.errors import UserError

NUMBERS = [str(number) for number in range(11)]


@pytest.mark.parametrize(
    "ordered",
    [
        NUMBERS,
        ["img1", "img2", "img10", "img10b", "img11"],
        ["0", "00", "1", "01", "001", "2", "002", "010"],  # leading zeros: by value, then the shorter first
        ["2019-9-30", "2019-10-1", "2020-1-1"],
        ["7", "a", "a7", "b"],
        ["", "9" * 5000, "1" + "0" * 5000],  # more digits than Python reads as a number
        ["A", "B", "a", "b", "²", "ä"],
    ],
)
def test_numbers_count_and_the_order_is_total(ordered: list[str]) -> None:
    for seed in range(5):
        assert natural_order(random.Random(seed).sample(ordered, len(ordered))) == ordered


def test_class_folders_called_by_numbers(tmp_path: Path) -> None:
    for name in NUMBERS:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8), (20 * int(name), 0, 0)).save(tmp_path / name / "x.png")
    data = Folder(root=str(tmp_path), labels="folders", num_classes=11, image_size=8, batch_size=2)
    reference = data.reference("train")
    assert data.class_names == NUMBERS and folder_classes(str(tmp_path), "folders") == 11
    assert all(
        int(sample["image"][0, 0, 0]) == 20 * sample["label"] for sample in map(reference.__getitem__, range(11))
    )


def test_a_run_that_began_with_another_order_goes_on_with_it(tmp_path: Path) -> None:
    for name in NUMBERS:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8), (20 * int(name), 0, 0)).save(tmp_path / name / "x.png")
    former = sorted(NUMBERS)  # 0, 1, 10, 2, ...
    data = Folder(root=str(tmp_path), labels="folders", num_classes=11, image_size=8, batch_size=2)
    now = data.fingerprint()
    for names in (former, NUMBERS, ["another", *NUMBERS[1:]]):
        data.follow_classes(names)
        reference = data.reference("train")
        shown = [former.index(str(int(reference[i]["image"][0, 0, 0]) // 20)) for i in range(11)]
        followed = former if names == former else NUMBERS
        assert data.class_names == followed and (data.fingerprint() == now) == (followed == NUMBERS)
        assert [reference[i]["label"] for i in range(11)] == [followed.index(former[place]) for place in shown]


def test_a_name_comes_before_a_number() -> None:
    assert [class_number(word, NUMBERS, 11) for word in (2, "2", 10, "10")] == [2, 2, 10, 10]
    assert class_number(2, sorted(NUMBERS), 11) == 3  # an older run's order: 0, 1, 10, 2
    assert [class_number(word, ["ant", "bee", "2"], 3) for word in (2, "bee")] == [2, 1]
    assert [class_number(word, ["1", "2", "3"], 3) for word in (1, "3")] == [0, 2]
    padded = [f"{number:03d}" for number in range(12)]
    assert [class_number(word, padded, 12) for word in (7, "7", "007", 11)] == [7, 7, 7, 11]
    assert class_number("007", ["006", "007"], 2) == 1
    assert class_number("e\u0301t\u00e9", ["\u00e9te\u0301"], 1) == 0  # typed and stored with other code points
    assert [class_number(word, None, 5) for word in (4, "4")] == [4, 4]


@pytest.mark.parametrize(
    ("word", "names", "message"),
    [
        (0, ["1", "2", "3"], r"no class called 0, and a number is a name where .* choose one of '1', '2', '3'\."),
        (7, ["006", "007", "008"], r"no class called 7, .* choose one of '007', "),
        (11, NUMBERS, r"There is no class 11: the generator knows 0 to 10\."),
        (-1, ["ant", "bee"], r"There is no class -1: the generator knows 0 to 1\."),
        ("01", ["ant", "bee"], r"There is no class called '01': choose one of "),
        ("wasp", ["ant", "bee"], r"There is no class called 'wasp': choose one of "),
        ("cat", ["cat", "dog", "cat"], r"2 classes are called 'cat': give the number, 0 or 2\."),
        ("x", [f"n{number}" for number in range(1000)], r", \.\.\. \(1,000 in all\)\."),
    ],
)
def test_words_that_mean_no_class(word: int | str, names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        class_number(word, names, len(names))
