"""Every run's samples in one picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_lightning.paths import write_atomically

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

SIDE, MARGIN, TEXT = 320, 12, 14  # pixels: a run's picture, the space around it, the height of letters
MOST = 24  # pictures, the best ones


def side_by_side(pictures: Sequence[tuple[Path, str]], target: Path) -> bool:
    """Write the pictures that are there, each below its label, to `target`; return whether there was any."""
    there = [(path, label) for path, label in pictures if path.is_file()][:MOST]
    if not there:
        return False
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(TEXT)
    labels = [_wrap(label, font) for _, label in there]
    head = (TEXT + 4) * max(label.count("\n") + 1 for label in labels) + 4
    columns = min(len(there), 4 if len(there) <= 8 else math.ceil(math.sqrt(len(there))))
    rows = math.ceil(len(there) / columns)
    sheet = Image.new("RGB", (columns * (SIDE + MARGIN) + MARGIN, rows * (SIDE + head + MARGIN) + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for index, ((path, _), label) in enumerate(zip(there, labels, strict=True)):
        x = MARGIN + index % columns * (SIDE + MARGIN)
        y = MARGIN + index // columns * (SIDE + head + MARGIN)
        draw.text((x, y), label, fill="black", font=font, spacing=4)
        sheet.paste(_fit(path), (x, y + head))
    write_atomically(target, sheet.save)
    return True


def _fit(path: Path) -> Image:
    """Return the picture in SIDE pixels; small ones keep their sharp pixels."""
    from PIL import Image

    with Image.open(path) as image:
        scale = SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _wrap(label: str, font: FreeTypeFont | ImageFont) -> str:
    letters = int(SIDE / font.getlength("x" * 20) * 20)
    return "\n".join(line for text in label.splitlines() for line in textwrap.wrap(text, letters) or [""])
