"""LightningDataModules, data sets that need no download, resumable order, degradations.

Attributes are imported on first use: the command line needs only the resolvers, without torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "CelebA": "celeba",
    "Degradation": "degradations",
    "Digits": "digits",
    "Emoji": "emoji",
    "Field": "fields",
    "GANData": "data_module",
    "Flowers102": "flowers",
    "Folder": "folder",
    "Glyphs": "glyphs",
    "Grey": "degradations",
    "Grid": "mixtures",
    "LSUN": "lsun",
    "Mixture": "mixtures",
    "Photos": "photos",
    "Ring": "mixtures",
    "Stacked": "stacked",
    "StackedDigits": "stacked",
    "StackedMNIST": "stacked",
    "TorchvisionData": "torchvision_sets",
}
__all__ = [
    "LSUN",
    "CelebA",
    "Degradation",
    "Digits",
    "Emoji",
    "Field",
    "Flowers102",
    "Folder",
    "GANData",
    "Glyphs",
    "Grey",
    "Grid",
    "Mixture",
    "Photos",
    "Ring",
    "Stacked",
    "StackedDigits",
    "StackedMNIST",
    "TorchvisionData",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'gan_lightning.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gan_lightning.data.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_WHERE)
