"""A folder of the user's own images: any nesting, sizes and modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gan_lightning.data.files import FileData
from gan_lightning.data.listing import Root, listed
from gan_lightning.data.names import endings
from gan_lightning.data.resolvers import class_folders
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
        there = listed(str(self.root))
        root, names = there.root, there.names
        if not names:
            raise UserError(f"data.root={root} holds no images; looked in it and all below for {', '.join(endings())}.")
        labels = self._classes(root, names) if self.labels else None
        self.tell(there)
        return FileImages(root, names, labels, self.transform)

    def _classes(self, root: Root, names: list[str]) -> list[int]:
        self.class_names = class_folders(str(root))
        tops = [name.split("/")[0] if "/" in name else "" for name in names]
        if "" in tops:
            raise UserError(f"{root / names[tops.index('')]} lies in no class folder; with data.labels=folders each "
                            "image is in a folder named for its class.")  # fmt: skip
        if empty := sorted(set(self.class_names) - set(tops)):
            raise UserError(f"{root / empty[0]} holds no images; with data.labels=folders each folder is a class.")
        return [self.class_names.index(top) for top in tops]
