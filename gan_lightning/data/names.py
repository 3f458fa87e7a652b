"""What the name of a file says: whether it is an image that this Pillow reads, or hidden. It does not import torch."""

from __future__ import annotations

import os
from functools import cache

ENDINGS = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".jpe", ".ppm", ".pgm", ".pbm", ".pnm",
    ".avif",
)  # fmt: skip


def hidden(name: str) -> bool:
    """Return whether file managers hide `name`, or macOS added it to an archive."""
    return name.startswith(".") or name == "__MACOSX"


@cache
def endings() -> tuple[str, ...]:
    """Return the endings of images that this Pillow reads."""
    from PIL import features

    return tuple(ending for ending in ENDINGS if ending != ".avif" or features.check("avif"))


def left_out(name: str) -> str:
    """Return what a file counts as among those that are left out; "" for an image."""
    if any(hidden(part) for part in name.split("/")):
        return "hidden"
    if name.lower().endswith(endings()):
        return ""
    return os.path.splitext(name)[1].lower() or "without ending"
