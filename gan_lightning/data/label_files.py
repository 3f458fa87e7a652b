"""Class labels in a file: a csv `file,label`, or StyleGAN's dataset.json.

This module does not import torch, since the command line counts classes before it composes.
"""

from __future__ import annotations

import csv
import io
import json
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gan_lightning.data.archives import Archive, Member, tidy
from gan_lightning.data.class_order import natural_order, plain
from gan_lightning.data.listing import Place, Root, mark, number_of, opened
from gan_lightning.errors import UserError

KINDS = (".csv", ".json")
DELIMITERS = (",", ";", "\t")  # spreadsheets write the second where a comma is in numbers
Row = tuple[str, str]  # file, class


@dataclass(frozen=True)
class LabelsFile:
    """The labels in a file. rows: the class of each image, by the image's name as the file has it.

    classes: all classes in the file, in natural order.
    """

    place: Place
    rows: dict[str, str]
    classes: list[str]

    def labels(self, root: Root, names: list[str]) -> tuple[list[str], list[str]]:
        """Return the class of each image, and the files that are in a row and not among `names`.

        names: of the images, relative to `root`; those in the file are relative to it, or to the file. Raises UserError
        for images without a row, and for a class without images.
        """
        there = {plain(name): name for name in names}
        if isinstance(root, Archive):  # also by the names as packed, with a folder that is around all
            there = {plain(tidy(root.entries[name].name)): name for name in names if name in root.entries} | there
        found: dict[str, str] = {}
        missing = []
        for file, word in self.rows.items():
            name = next((there[tried] for tried in map(plain, self._places(root, file)) if tried in there), None)
            if name is None:
                missing.append(file)
            else:
                self._check_one(file, found.setdefault(name, word), word)
        self._check_all(root, [name for name in names if name not in found])
        self._check_used(root, set(found.values()))
        return [found[name] for name in names], missing

    def _places(self, root: Root, file: str) -> Iterator[str]:
        """Yield the names, relative to the root, that a row's file may mean."""
        yield posixpath.normpath(tidy(file))
        if isinstance(self.place, Member):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(self.place.name), tidy(file)))
        elif isinstance(root, Path):
            beside = os.path.join(os.path.dirname(os.path.abspath(self.place)), file)
            yield Path(os.path.relpath(beside, os.path.abspath(root))).as_posix()

    def _check_one(self, file: str, first: str, second: str) -> None:
        if first != second:
            raise UserError(f"{self.place} gives {file} two labels, {first!r} and {second!r}: {ONE}.")

    def _check_all(self, root: Root, without: list[str]) -> None:
        if without:
            count = f"{len(without):,} images have" if len(without) > 1 else "One image has"
            raise UserError(
                f"{count} no label in {self.place}, first {root / without[0]}: add a row for each, or take the images "
                "out of data.root."
            )

    def _check_used(self, root: Root, used: set[str]) -> None:
        if empty := [word for word in self.classes if word not in used]:
            raise UserError(
                f"{self.place} has rows of class {empty[0]!r}, and no image of it is in {root}: take the rows out."
            )


ONE = "an image has one label here, and several at a time are not possible"


def labels_file(root: str | Path, file: str) -> LabelsFile:
    """Return the labels in `file`: a name in the folder or archive `root`, else any path.

    Raises UserError for a file that is not there, cannot be read, or has several labels for an image.
    """
    place = _located(root, file)
    return _read(place, mark(place)) if isinstance(place, Path) else _parsed(place)


def is_labels_file(name: str) -> bool:
    """Return whether `name` has the ending of a file of labels."""
    return name.lower().endswith(KINDS)


def missing_line(name: str, file: LabelsFile, missing: list[str]) -> str:
    """Return the line on rows without an image."""
    return f"{name}: {number_of(len(missing), 'row')} of {file.place} without an image, first {missing[0]}"


def _located(root: str | Path, file: str) -> Place:
    there, elsewhere = opened(root), Path(file).expanduser()
    if isinstance(there, Archive) and tidy(file) in there.entries:
        return there / tidy(file)
    if isinstance(there, Path) and (there / file).is_file():
        return there / file
    if elsewhere.is_file():
        return elsewhere
    raise UserError(f"data.labels={file} is not there: looked in {root}, and for {elsewhere.absolute()}; give a path, "
                    "or a name in data.root.")  # fmt: skip


@cache
def _read(place: Path, mark: tuple[int, int]) -> LabelsFile:
    """Return the labels in a file, read once as long as its mark is the same."""
    return _parsed(place)


def _parsed(place: Place) -> LabelsFile:
    name = place.name
    parse = _json_rows if name.lower().endswith(".json") else _csv_rows
    try:
        with place.open("rb") as file:
            text = file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Labels file {place} cannot be read ({error}): it is a text in UTF-8.") from error
    rows: dict[str, str] = {}
    for where, (image, word) in parse(place, text):
        if not image or not word:
            raise UserError(f"{place} {where} has no {'label' if image else 'file'}: give both.")
        if rows.setdefault(image, word) != word:
            raise UserError(f"{place} gives {image} two labels, {rows[image]!r} and {word!r}: {ONE}.")
    if not rows:
        raise UserError(f"{place} has no labels: it needs a row for each image.")
    return LabelsFile(place, rows, natural_order(set(rows.values())))


def _csv_rows(place: Place, text: str) -> Iterator[tuple[str, Row]]:
    """Yield each row of a csv with where it is."""
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter=next((d for d in DELIMITERS if d in first), ","), strict=True)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        _check_header(place, header)
        order = header.index("file"), header.index("label")
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != 2:
                raise UserError(
                    f"{place} line {reader.line_num} has {number_of(len(cells), 'cell')} where file and label are "
                    f"expected: {ONE}, and a name with a comma is put in quotes."
                )
            yield f"line {reader.line_num}", (cells[order[0]].strip(), cells[order[1]].strip())
    except csv.Error as error:
        raise UserError(f"{place} line {reader.line_num} cannot be read as csv ({error}).") from error


def _check_header(place: Place, header: list[str]) -> None:
    if "file" not in header or "label" not in header:
        raise UserError(
            f"{place} begins with {','.join(header) or 'nothing'!r}: its first line must be file,label, and {ONE}."
        )
    if len(header) > 2:
        more = ", ".join(name for name in header if name not in ("file", "label"))
        raise UserError(f"{place} has the columns {', '.join(header)}: {ONE}, so leave out {more}.")


def _json_rows(place: Place, text: str) -> Iterator[tuple[str, Row]]:
    """Yield each entry of a dataset.json, {"labels": [["00000/img.png", 3], ...]}, with where it is."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place} cannot be read as JSON ({error}).") from error
    entries = content.get("labels") if isinstance(content, dict) else None
    if entries is None:
        raise UserError(f"{place} tells no labels ('labels' is null or missing): leave data.labels out.")
    if not isinstance(entries, list):
        raise UserError(f'{place} has no list of labels: it must be {{"labels": [[FILE, NUMBER], ...]}}.')
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], str):
            raise UserError(f"{place} entry {number} is {_short(entry)} and must be [FILE, NUMBER].")
        if entry[1] is not None:  # an image without a label is named with all others, if it is there
            yield f"entry {number}", (entry[0], _word(place, number, entry))


def _word(place: Place, number: int, entry: list[Any]) -> str:
    value = entry[1]
    if isinstance(value, list | dict):
        raise UserError(f"{place} entry {number}, {entry[0]}, has the label {_short(value)}: {ONE}.")
    if isinstance(value, bool | float):
        raise UserError(f"{place} entry {number}, {entry[0]}, has the label {value}: it is a whole number or a name.")
    return str(value)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
