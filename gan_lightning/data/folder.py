"""A folder of the user's own images: any nesting, sizes and modes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gan_lightning.data.files import FileData
from gan_lightning.data.image_data import ENDINGS
from gan_lightning.data.resolvers import class_folders, hidden
from gan_lightning.data.sources import FileImages
from gan_lightning.errors import UserError


@dataclass(kw_only=True, eq=False, repr=False)
class Folder(FileData):
    """All images under `root` except hidden ones, in the order of their paths; the only split is "train".

    labels: "folders" makes each folder directly under `root` a class, numbered in alphabetical order.
    """

    labels: Literal["folders"] | None = None

    name = "folder"
    splits = ("train",)

    def check(self) -> None:
        """Raise UserError for an option out of range or without `root`."""
        super().check()
        if not self.root:
            raise UserError("data=folder needs the folder: data.root=/my/images.")
        if self.labels not in (None, "folders"):
            raise UserError(f"data.labels={self.labels} is not possible; take folders, or null for none.")

    def files(self, split: str) -> FileImages:
        """Return the image files; UserError if the folder does not exist or has no images."""
        root = Path(str(self.root)).expanduser()
        if not root.is_dir():
            raise UserError(f"data.root={root.absolute()} is not a folder; give the path of a folder of images.")
        names = image_names(root)
        if not names:
            raise UserError(f"data.root={root} holds no images; looked in it and all below for {', '.join(ENDINGS)}.")
        return FileImages(root, names, self._classes(root, names) if self.labels else None, self.transform)

    def _classes(self, root: Path, names: list[str]) -> list[int]:
        self.class_names = class_folders(root)
        tops = [name.split("/")[0] if "/" in name else "" for name in names]
        if "" in tops:
            raise UserError(f"{root / names[tops.index('')]} lies in no class folder; with data.labels=folders each "
                            "image is in a folder named for its class.")  # fmt: skip
        if empty := sorted(set(self.class_names) - set(tops)):
            raise UserError(f"{root / empty[0]} holds no images; with data.labels=folders each folder is a class.")
        return [self.class_names.index(top) for top in tops]


def image_names(root: Path) -> list[str]:
    """Return the sorted paths, relative to `root` and with "/", of all images below it; links are followed."""
    names, seen = [], set()
    for folder, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else [f for f in folders if not hidden(f)]
        if real not in seen:
            names += [Path(folder, f).relative_to(root).as_posix() for f in files if _is_image(f)]
        seen.add(real)
    return sorted(names)


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not hidden(name)
