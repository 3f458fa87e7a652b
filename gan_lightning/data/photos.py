"""Crops of the colour photographs that come with scikit-learn and scikit-image: photographs without a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL import __version__ as pillow

from gan_lightning.data.drawn import DrawnData, folder_of, kept
from gan_lightning.data.sources import TensorImages, digest
from gan_lightning.errors import UserError
from gan_lightning.paths import sha256
from gan_lightning.sizes import Size, height_width

SCENES = {  # by split; the motorcycle is one scene, seen by two eyes
    "train": ("china", "flower", "astronaut", "chelsea", "hubble_deep_field", "retina", "motorcycle_left",
              "motorcycle_right"),
    "test": ("coffee", "rocket"),
}  # fmt: skip
FROM_SKLEARN = ("china", "flower")
MOST = 300  # pixels: the shorter side of the smallest picture
SHARES = (1 / 3, 1.0)  # of a picture's shorter side, that of a crop


@dataclass(kw_only=True, eq=False, repr=False)
class Photos(DrawnData):
    """Crops of nine scenes at random places and sizes; the split "test" is of the two scenes coffee and rocket.

    A crop takes from a third to all of a picture's shorter side, and at least `image_size`, so that none is enlarged.

    num_crops: of the split "train", equally many of each picture but for one; "test" has a tenth of it, at least 2.
    They are fixed by their number alone, whatever the seed.
    """

    image_size: Size = 64
    channels: int = 3
    num_crops: int = 8000

    name = "photos"

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        if max(height_width(self.image_size)) > MOST:
            raise UserError(f"data=photos has pictures of {MOST} pixels: set data.image_size to at most {MOST}.")
        if self.num_classes:
            raise UserError(f"data=photos has no classes; leave data.num_classes at 0, not {self.num_classes}.")
        if not isinstance(self.num_crops, int) or self.num_crops < 1:
            raise UserError(f"data.num_crops={self.num_crops} is not possible; it is a whole number of at least 1.")

    def load(self, split: str) -> TensorImages:
        """Return `split`, uint8 `(N, channels, height, width)`; the pictures take turns."""
        count = self.num_crops if split == "train" else max(2, self.num_crops // 10)
        paths = [_path(name) for name in SCENES[split]]
        contents = list(map(sha256, paths))
        what = ("photos", pillow, contents, SHARES, self.image_size, count)
        pixels = kept(lambda: self._cut(paths, count), *what)
        return self.made(pixels, None, digest(*what, self.channels), digest(contents, count))

    def _cut(self, paths: list[Path], count: int) -> np.ndarray:
        """Return uint8 `(count, height, width, 3)`."""
        pictures = [Image.open(path).convert("RGB") for path in paths]
        size = height_width(self.image_size)[::-1]
        crops = np.empty((count, *size[::-1], 3), dtype=np.uint8)
        for row in range(count):
            picture = pictures[row % len(pictures)]
            crops[row] = np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=_box(row, picture, size)))
        return crops


def _box(row: int, picture: Image.Image, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of crop `row` with the shape of `size` (width, height)."""
    random = np.random.RandomState(int(digest("photos", row)[:8], 16))  # the same in all versions of NumPy
    share, x, y = random.uniform(*SHARES), random.uniform(), random.uniform()
    largest = min(picture.width / size[0], picture.height / size[1])
    scale = min(largest, max(1.0, share * largest))
    width, height = int(size[0] * scale), int(size[1] * scale)
    left, top = round(x * (picture.width - width)), round(y * (picture.height - height))
    return left, top, left + width, top + height


def _path(name: str) -> Path:
    if name in FROM_SKLEARN:
        return folder_of("sklearn", "scikit-learn", "photos", "photos") / f"datasets/images/{name}.jpg"
    folder = folder_of("skimage", "scikit-image", "photos", "photos") / "data"
    found = sorted(folder.glob(f"{name}.*"))
    if not found:
        raise UserError(f"{folder} has no picture {name}: pip install --force-reinstall 'gan-lightning[photos]'.")
    return found[0]
