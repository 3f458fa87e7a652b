"""A folder of the user's own images: any nesting, sizes and modes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gan_lightning.data.class_order import natural_order
from gan_lightning.data.depth import FULL
from gan_lightning.data.download import say
from gan_lightning.data.files import FileData
from gan_lightning.data.folder_classes import FOLDERS, folder_class_names
from gan_lightning.data.holdout import Holdout, Wanted, check_holdout, divided
from gan_lightning.data.image_data import SquareImage
from gan_lightning.data.label_files import KINDS, is_labels_file, labels_file, missing_line
from gan_lightning.data.listing import Listing, Root, listed
from gan_lightning.data.names import endings
from gan_lightning.data.sources import FileImages, Source
from gan_lightning.data.white import settled
from gan_lightning.errors import UserError


@dataclass(kw_only=True, eq=False, repr=False)
class Folder(FileData):
    """All images under `root`, a folder or an archive, except hidden ones, in the order of their paths.

    labels: "folders" makes each folder directly under `root` a class. Or a file with a label for each image: a csv
    `file,label`, or StyleGAN's dataset.json; its name is one in `root`, else any path. Classes are in natural order.
    holdout: what is not trained on, the split "test": a share of the images, chosen by their names, or the name of a
    folder in `root`; training then takes the folder `train` beside it, else all others. None = the only split is
    "train".
    """

    labels: str | None = None
    holdout: Wanted = None

    name = "folder"
    _order = None

    @property
    def splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """The splits: "train", and with `holdout` "test"."""
        return ("train",) if self.holdout is None else ("train", "test")

    def check(self) -> None:
        """Raise UserError for an option out of range or without `root`."""
        super().check()
        if not self.root:
            raise UserError("data=folder needs the folder: data.root=/my/images.")
        if self.labels not in (None, FOLDERS) and not is_labels_file(str(self.labels)):
            raise UserError(
                f"data.labels={self.labels} is not possible; take folders, a file {' or '.join(KINDS)}, or null for "
                "none."
            )
        check_holdout(self.holdout)

    def sources(self, split: str) -> dict[str, Source]:
        """Return the sources of `split` by name, loaded once; UserError if there is no such split."""
        if split == "test" and self.holdout is None:
            raise UserError(
                "data=folder has no split 'test' as long as no images are held out: set data.holdout=0.1 for a share "
                "of them, or data.holdout=FOLDER for a folder in data.root."
            )
        return super().sources(split)

    def follow_classes(self, names: Sequence[str]) -> None:
        """Number the classes in the order of `names`, if they are the same classes; for a run that began with it."""
        self._order = list(names)
        self._sources.clear()
        vars(self).pop("_found", None)

    def files(self, split: str) -> FileImages:
        """Return the image files of a split; UserError if the folder does not exist or has no images."""
        found = self._found
        names = [name for name in found.there.names if found.holdout.split(name) == split]
        if not names:
            raise UserError(
                f"data.holdout={self.holdout} leaves no image in the split '{split}' of {found.there.root}."
            )
        labels = None
        if found.words is not None:
            number = {word: place for place, word in enumerate(self.class_names or ())}
            labels = [number[found.words[name]] for name in names]
            if split == "train" and (lost := set(number.values()) - set(labels)):
                self._refuse_untrained(min(lost))
        return FileImages(found.there.root, names, labels, self._transform(found.there))

    @cached_property
    def _found(self) -> Found:
        """List the images, divide them and find their classes, once; a line says what there is."""
        there = listed(str(self.root))
        if not there.names:
            raise UserError(
                f"data.root={there.root} holds no images; looked in it and all below for {', '.join(endings())}."
            )
        holdout = divided(self.holdout, {name.split("/")[0] for name in there.names if "/" in name})
        used = [name for name in there.names if holdout.split(name)]
        words = self._words(there.root, holdout, used)
        self.tell(there)
        if self.holdout is not None:
            say(f"folder: {self._held_out(there.names, used, holdout)}")
        return Found(there, holdout, words)

    def _held_out(self, names: list[str], used: list[str], holdout: Holdout) -> str:
        count = sum(holdout.split(name) == "test" for name in used)
        line = f"{count:,} of them held out as the split 'test' (data.holdout={self.holdout}), "
        left = len(names) - len(used)
        return f"{line}{len(used) - count:,} to train on" + f", {left:,} in neither folder" * bool(left)

    def _words(self, root: Root, holdout: Holdout, names: list[str]) -> dict[str, str] | None:
        """Return the class of each image in `names`, None without labels; set the names of the classes."""
        if not self.labels:
            return None
        classes = folder_class_names(str(self.root), str(self.labels), self.holdout)
        order = self._order or []
        self.class_names = order if sorted(order) == sorted(classes) else classes
        if self.class_names != classes:
            say(f"folder: the classes keep the order of the run: {', '.join(order[:10])}{', ...' * (len(order) > 10)}")
        if self.labels != FOLDERS:
            file = labels_file(str(self.root), str(self.labels))
            words, missing = file.labels(root, names)
            if missing:
                say(missing_line("folder", file, missing))
            return dict(zip(names, words, strict=True))
        tops = {name: holdout.inner(name).rpartition("/")[0].split("/")[0] for name in names}
        self._check_folders(root, tops, holdout)
        return tops

    def _check_folders(self, root: Root, tops: dict[str, str], holdout: Holdout) -> None:
        classes = set(self.class_names or ())
        if outside := next((name for name, top in tops.items() if not top), None):
            raise UserError(f"{root / outside} lies in no class folder; with data.labels=folders each image is in a "
                            "folder named for its class.")  # fmt: skip
        if foreign := next((name for name, top in tops.items() if top not in classes), None):
            raise UserError(f"{root / foreign} is of class '{tops[foreign]}', which has no folder to train on; take it "
                            "out.")  # fmt: skip
        if empty := natural_order(classes - set(tops.values())):
            raise UserError(f"{root / (holdout.trained + empty[0])} holds no images; with data.labels=folders each "
                            "folder is a class.")  # fmt: skip

    def _refuse_untrained(self, number: int) -> None:
        raise UserError(
            f"data.holdout={self.holdout} leaves no image to train on of class '{(self.class_names or [])[number]}'; "
            "hold out less, or add images of it."
        )

    def _transform(self, there: Listing) -> SquareImage:
        """Return the transform; the white of deep files is the same for all splits."""
        if self.holdout is None or self.white is not None:
            return self.transform
        known: Any = settled(
            FileImages(there.root, there.names, None, self.transform), "folder", "data.white"
        ).transform
        return replace(known, white=known.white or FULL)


@dataclass(frozen=True)
class Found:
    """What a folder holds: all images, the splits, and without them the class of each image in one, None for none."""

    there: Listing
    holdout: Holdout
    words: dict[str, str] | None
