"""CelebA's aligned faces."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gan_lightning.data.download import data_root, fetch, say
from gan_lightning.data.files import FileData
from gan_lightning.data.sources import FileImages
from gan_lightning.errors import UserError, suggest

PARTITIONS = {"train": "0", "valid": "1", "test": "2"}
IMAGES, PARTITION, ATTRIBUTES = "img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt"


@dataclass(kw_only=True, eq=False, repr=False)
class CelebA(FileData):
    """CelebA (Liu et al. 2015, 1411.7766), 178x218 aligned faces; a centre square is cut out and resized.

    root: the folder with `celeba/img_align_celeba/*.jpg` and the two lists, laid out as by torchvision, or that
    `celeba` folder; None = $GAN_LIGHTNING_DATA, else ./data. Listed images without a file are ignored.
    crop: 178 keeps the whole width; 148 and 108 are also used in papers, and FIDs of different crops do not compare.
    split: the authors' split that is used as "train": "train", "valid", "test" or "all".
    attribute: one of the 40 attributes, such as "Smiling"; gives 2 classes, without and with it.
    """

    crop: int | None = 178
    mirror: bool = True
    split: Literal["train", "valid", "test", "all"] = "train"
    attribute: str | None = None

    name = "celeba"
    splits = ("train", "valid", "test", "all")

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        if self.split not in self.splits:
            raise UserError(
                f"data.split={self.split} does not exist; there are: {suggest(str(self.split), self.splits)}."
            )
        if bool(self.num_classes) != bool(self.attribute):
            raise UserError(
                f"data.num_classes={self.num_classes} does not fit data.attribute={self.attribute}; "
                "there are 2 classes with an attribute and 0 without."
            )

    def files(self, split: str) -> FileImages:
        """Return the existing files of `split`; UserError if there are none and they cannot be downloaded."""
        folder = self._folder()
        listed = _listed(folder, self.split if split == "train" else split)
        there = set(os.listdir(folder / IMAGES))
        names = [name for name in listed if name in there]
        if len(names) < len(listed):
            say(f"celeba: {len(names):,} of the {len(listed):,} images listed for '{split}' are in {folder / IMAGES}")
        if not names:
            raise UserError(
                f"None of the images that {folder / PARTITION} lists for '{split}' is in {folder / IMAGES}."
            )
        return FileImages(folder / IMAGES, names, self._labels(folder, names), self.transform)

    def _folder(self) -> Path:
        root = data_root(self.root)
        for folder in (root / "celeba", root):
            if (folder / IMAGES).is_dir():
                return folder
        folder = root / "celeba"
        advice = (
            "get img_align_celeba.zip, list_eval_partition.txt and list_attr_celeba.txt from "
            f"https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and place {IMAGES}/*.jpg and the lists in {folder}."
        )
        fetch("celeba", root, _download, advice)
        return folder

    def _labels(self, folder: Path, names: list[str]) -> list[int] | None:
        if self.attribute is None:
            return None
        header, rows = _attributes(folder)
        if self.attribute not in header:
            raise UserError(f"data.attribute={self.attribute} is none of CelebA's; there are: "
                            f"{suggest(self.attribute, header)}.")  # fmt: skip
        self.class_names = [f"not {self.attribute}", self.attribute]
        column = header.index(self.attribute)
        if unknown := [name for name in names if name not in rows]:
            raise UserError(f"{folder / ATTRIBUTES} says nothing of {unknown[0]}; add its line or remove the image.")
        return [int(rows[name][column] == "1") for name in names]


def _listed(folder: Path, split: str) -> list[str]:
    lines = (line.split() for line in _read(folder / PARTITION) if line.strip())
    return sorted(name for name, part in lines if split == "all" or part == PARTITIONS[split])


def _attributes(folder: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of the attributes, and their values "1" or "-1" for each image."""
    _, header, *lines = _read(folder / ATTRIBUTES)  # the first line is the count
    return header.split(), {name: values for name, *values in (line.split() for line in lines if line.strip())}


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); it is part of CelebA, place it there.") from error


def _download(folder: Path) -> None:
    from torchvision.datasets import CelebA as Download

    Download(str(folder), split="all", download=True)
