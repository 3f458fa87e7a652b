"""Letters and digits in the text faces that come with matplotlib: known content and known style, without a download."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, features
from PIL import __version__ as pillow

from gan_lightning.data import drawn
from gan_lightning.data.drawn import DrawnData, folder_of, kept
from gan_lightning.data.sources import TensorImages, digest
from gan_lightning.errors import UserError
from gan_lightning.paths import sha256
from gan_lightning.sizes import Size, height_width

CHARACTERS = string.digits + string.ascii_uppercase + string.ascii_lowercase
FACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmb10", "cmti10", "cmmi10", "cmss10", "cmtt10",
)  # fmt: skip
CLASSES = {"character": list(CHARACTERS), "face": list(FACES)}
FINE = 4  # pixels are averages of so many in each direction
HEIGHT = 0.7  # size of the letters, of the shorter side of the image


@dataclass(kw_only=True, eq=False, repr=False)
class Glyphs(DrawnData):
    """62 characters in 22 faces, black on white, of which a tenth is the split "test"; all sizes are crisp.

    Which it is follows from face and character alone, so that all variants of one are in the same split.

    classes: "character" (62) or "face" (22). variants: images of each character in each face, which differ in:
    shear: up to so many pixels to either side for each pixel of height. weight: strokes up to so much thicker, of the
    letters' size. colours: ink and paper of any colours, one of them dark and the other light.
    """

    image_size: Size = 32
    channels: int = 1
    num_classes: int = 62
    classes: Literal["character", "face"] = "character"
    variants: int = 1
    shear: float = 0.0
    weight: float = 0.0
    colours: bool = False

    name = "glyphs"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.class_names = CLASSES[self.classes]

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        if self.classes not in CLASSES:
            raise UserError(f"data.classes={self.classes} is not possible; take {' or '.join(CLASSES)}.")
        if self.num_classes not in (0, count := len(CLASSES[self.classes])):
            raise UserError(
                f"data.num_classes={self.num_classes} is not possible: data.classes={self.classes} has {count}; "
                "leave it out, or set it to 0 for no classes."
            )
        if not isinstance(self.variants, int) or self.variants < 1:
            raise UserError(f"data.variants={self.variants} is not possible; it is a whole number of at least 1.")
        for key, most in (("shear", 1.0), ("weight", 0.2)):
            if not 0 <= getattr(self, key) <= most:
                raise UserError(f"data.{key}={getattr(self, key)} is not possible; it is a number from 0 to {most}.")
        if self.variants > 1 and not (self.shear or self.weight or self.colours):
            raise UserError("data.variants above 1 differ in nothing: set data.shear, data.weight or data.colours.")

    def load(self, split: str) -> TensorImages:
        """Return `split`, uint8 `(N, channels, height, width)`, face by face."""
        folder = folder_of("matplotlib", "matplotlib", "glyphs", "glyphs") / "mpl-data/fonts/ttf"
        pairs = [pair for pair in _pairs() if split_of(*pair) == split for _ in range(self.variants)]
        varied = (self.variants, float(self.shear), float(self.weight), self.colours)
        what = (_identity(folder), pairs, self.image_size, *varied)
        pixels = kept(lambda: self._draw(folder, pairs), "glyphs", *what)
        which = (FACES.index(face) if self.classes == "face" else CHARACTERS.index(sign) for face, sign in pairs)
        identity = digest(*what, self.channels, self.classes)
        return self.made(pixels, torch.tensor(list(which)), identity, digest(pairs))

    def _draw(self, folder: Path, pairs: list[tuple[str, str]]) -> np.ndarray:
        """Return uint8 `(N, height, width, 3)`; a variant depends only on its face, character and number."""
        fonts = {face: self._font(folder / f"{face}.ttf") for face in FACES}
        images = []
        for number, (face, sign) in enumerate(pairs):
            random = _random(face, sign, number % self.variants)
            ink = self._ink(fonts[face], sign, self.shear * random.uniform(-1, 1), self.weight * random.uniform())
            images.append(_coloured(ink, *(_colours(random) if self.colours else (np.zeros(3), np.full(3, 255.0)))))
        return np.stack(images)

    def _font(self, path: Path) -> ImageFont.FreeTypeFont:
        size = min(height_width(self.image_size)) * FINE * HEIGHT
        return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)

    def _ink(self, font: ImageFont.FreeTypeFont, sign: str, shear: float, weight: float) -> np.ndarray:
        """Return how much of each pixel is covered, 0 to 1 `(height, width)`."""
        height, width = height_width(self.image_size)
        fine = Image.new("L", (width * FINE, height * FINE))
        middle, baseline = fine.width / 2, fine.height / 2 + 0.36 * font.size  # capitals are 0.72 of the size high
        stroke = font.size * weight / 2
        ImageDraw.Draw(fine).text((middle, baseline), sign, font=font, fill=255, anchor="ms", stroke_width=stroke)
        if shear:
            moves = (1, shear, -shear * fine.height / 2, 0, 1, 0)
            fine = fine.transform(fine.size, Image.Transform.AFFINE, moves, Image.Resampling.BICUBIC)
        return np.asarray(fine.reduce(FINE), dtype=np.float64) / 255


def split_of(face: str, sign: str) -> str:
    """Return the split of a character in a face."""
    return drawn.split_of(f"{face} {ord(sign)}")


def _pairs() -> Iterator[tuple[str, str]]:
    yield from ((face, sign) for face in FACES for sign in CHARACTERS)


def _random(*names: object) -> np.random.RandomState:
    """Return numbers that are the same on all machines and in all versions of NumPy."""
    return np.random.RandomState(int(digest("glyphs", *names)[:8], 16))


def _colours(random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return ink and paper, `(3,)` each: a dark colour and a light one, in either order."""
    dark, light = random.uniform(0, 110, 3), random.uniform(145, 255, 3)
    return (dark, light) if random.uniform() < 0.5 else (light, dark)


def _coloured(ink: np.ndarray, of_ink: np.ndarray, of_paper: np.ndarray) -> np.ndarray:
    """Return uint8 `(height, width, 3)`."""
    return (of_paper + ink[..., None] * (of_ink - of_paper)).round().astype(np.uint8)


def _identity(folder: Path) -> str:
    """Return what drawing depends on: the fonts' bytes, and the versions of Pillow and FreeType."""
    fonts = [sha256(folder / f"{face}.ttf") for face in FACES]
    return digest(*fonts, pillow, features.version("freetype2"), FINE, HEIGHT)
