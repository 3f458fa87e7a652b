"""The base class of data sets that are drawn or cut here, from packages, and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from gan_lightning.data.data_module import GANData
from gan_lightning.data.holdout import hash_of
from gan_lightning.data.image_data import set_channels
from gan_lightning.data.sources import TensorImages, digest
from gan_lightning.errors import UserError
from gan_lightning.paths import cache_dir, write_atomically
from gan_lightning.sizes import height_width

LEAST = 8  # pixels of a side
TEST_SHARE = 0.1


@dataclass(kw_only=True, eq=False, repr=False)
class DrawnData(GANData):
    """Base class of data sets that are made at `image_size`, of at least 8 pixels, without a file of their own."""

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        height_width(self.image_size, "data.image_size", least=LEAST)

    def made(self, pixels: Tensor, labels: Tensor | None, identity: str, order: str) -> TensorImages:
        """Return a source of uint8 pixels `(N, height, width, 3)`; identity, order: its `fingerprint` and `order`."""
        images = set_channels(pixels.permute(0, 3, 1, 2).contiguous(), self.channels)
        source = TensorImages(images, labels, identity)
        source.order = order
        return source


def split_of(name: str) -> str:
    """Return the split of what is called `name`, which its name decides alone."""
    return "test" if hash_of(name) < TEST_SHARE else "train"


def folder_of(module: str, distribution: str, extra: str, data: str) -> Path:
    """Return the folder of an installed package, which is not imported; UserError with the command if it is missing."""
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"data={data} needs the package {distribution}: pip install 'gan-lightning[{extra}]'.")
    return Path(next(iter(spec.submodule_search_locations)))


def colour(name: str, key: str) -> tuple[int, int, int]:
    """Return red, green and blue of a colour such as white or #ff8800; UserError, which names `key`, for no colour."""
    try:
        red, green, blue = ImageColor.getrgb(str(name))[:3]
    except ValueError as error:
        raise UserError(f"{key}={name} is no colour; take a name such as white, or one such as '#ff8800'.") from error
    return red, green, blue


def kept(make: Callable[[], np.ndarray], *identity: object) -> Tensor:
    """Return the array of `make` as a tensor, from the cache where `identity`, all that it depends on, is known."""
    path = cache_dir() / "images" / f"{digest('drawn', *identity)}.drawn.npy"
    try:
        return torch.from_numpy(np.load(path))
    except (OSError, ValueError, EOFError):  # not there, or damaged
        pixels = make()
    write_atomically(path, lambda temporary: _save(temporary, pixels))
    return torch.from_numpy(pixels)


def _save(path: Path, pixels: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, pixels)
