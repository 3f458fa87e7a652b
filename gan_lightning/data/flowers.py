"""Oxford's 102 flowers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gan_lightning.data.download import data_root, fetch
from gan_lightning.data.files import FileData
from gan_lightning.data.sources import FileImages
from gan_lightning.errors import UserError

URL = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"


@dataclass(kw_only=True, eq=False, repr=False)
class Flowers102(FileData):
    """102 Category Flower Dataset (Nilsback and Zisserman, 2008): 8,189 photographs, all of them the split "train".

    root: holds `flowers-102/jpg/image_*.jpg` and `flowers-102/imagelabels.mat`, as torchvision places them;
    None = $GAN_LIGHTNING_DATA, else ./data.
    """

    num_classes: int = 102
    mirror: bool = True

    name = "flowers102"
    splits = ("train",)

    def files(self, split: str) -> FileImages:
        """Return the files of all flowers; UserError if they are missing and cannot be downloaded."""
        folder = data_root(self.root) / "flowers-102"
        if not (folder / "jpg").is_dir():
            advice = f"get 102flowers.tgz, imagelabels.mat and setid.mat from {URL} and unpack them in {folder}."
            fetch("flowers102", data_root(self.root), _download, advice)
        names = sorted(path.name for path in (folder / "jpg").glob("image_*.jpg"))
        if not names:
            raise UserError(f"{folder / 'jpg'} holds no image_*.jpg; remove it to download the flowers again.")
        return FileImages(folder / "jpg", names, self._labels(folder, names), self.transform)

    def _labels(self, folder: Path, names: list[str]) -> list[int] | None:
        if not self.num_classes:
            return None
        from scipy.io import loadmat
        from torchvision.datasets import Flowers102 as Official

        self.class_names = list(Official.classes)
        try:
            labels = loadmat(folder / "imagelabels.mat", squeeze_me=True)["labels"]
        except Exception as error:  # a damaged file ends in any of the reader's exceptions
            raise UserError(f"{folder / 'imagelabels.mat'} cannot be read ({error}); get it from {URL}.") from error
        return [int(labels[int(name[6:11]) - 1]) - 1 for name in names]  # image_00001.jpg has the first label, from 1


def _download(folder: Path) -> None:
    from torchvision.datasets import Flowers102 as Official

    Official(str(folder), download=True)
