"""LSUN's scenes, read from the published LMDB databases."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gan_lightning.data.data_module import ResizedData
from gan_lightning.data.download import data_root
from gan_lightning.data.image_data import SquareImage, unreadable
from gan_lightning.data.opening import identified
from gan_lightning.data.sources import Source, digest
from gan_lightning.errors import UserError
from gan_lightning.sizes import Size


@dataclass(kw_only=True, eq=False, repr=False)
class LSUN(ResizedData):
    """One category of LSUN (Yu et al. 2015, 1506.03365): `category` "bedroom", "church_outdoor", "bridge", "tower"...

    root: the folder with `<category>_train_lmdb` and `<category>_val_lmdb`; None = $GAN_LIGHTNING_DATA, else ./data.
    Needs the package lmdb. There is no automatic download: bedroom has 43 GB.
    """

    image_size: Size = 64
    channels: int = 3
    num_workers: int = 2
    root: str | None = None
    category: str = "church_outdoor"

    name = "lsun"
    splits = ("train", "val")

    def load(self, split: str) -> LMDBImages:
        """Return `split`; UserError if the database or the package lmdb is missing."""
        folder = data_root(self.root) / f"{self.category}_{split}_lmdb"
        if not (folder / "data.mdb").is_file():
            raise UserError(
                f"data=lsun looked for {folder}/data.mdb; download it with the script of https://github.com/fyu/lsun "
                f"(python download.py -c {self.category}), unpack it there, or set data.root to where it is."
            )
        return LMDBImages(folder, SquareImage(self.image_size, self.channels, fit=self.fit))


class LMDBImages(Source):
    """Encoded images in an LMDB folder, in the order of their keys. Each process opens the database itself."""

    labels = None

    def __init__(self, folder: Path, transform: SquareImage) -> None:
        self.folder, self.transform = folder, transform
        self._opened, self._owner = None, 0
        with _open(folder) as database, database.begin() as transaction:
            self.keys = list(transaction.cursor().iternext(keys=True, values=False))
        stat = (folder / "data.mdb").stat()
        self.fingerprint = digest(folder.name, stat.st_size, stat.st_mtime_ns, transform)

    def _database(self) -> Any:
        if self._owner != os.getpid():  # after a fork the parent's open database must not be used
            if self._opened is not None:
                self._opened.close()
            self._opened, self._owner = _open(self.folder), os.getpid()
        return self._opened

    def __len__(self) -> int:
        return len(self.keys)

    def image(self, index: int) -> Tensor:
        """Return uint8 `(C, height, width)`; UserError names an entry that is not an image."""
        with self._database().begin() as transaction:
            encoded = transaction.get(self.keys[index])
        try:
            with identified(io.BytesIO(encoded)) as image:
                return self.transform.convert(image)
        except Exception as error:  # decoders raise all sorts
            raise unreadable(self.folder / self.keys[index].decode(), error) from error


def _open(folder: Path) -> Any:
    try:
        import lmdb
    except ImportError as error:
        raise UserError("data=lsun needs the package lmdb: pip install lmdb.") from error
    return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, max_readers=1)
