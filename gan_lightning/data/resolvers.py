"""Numbers of classes that follow from other options, for `num_classes: ${...}` in conf/data; no data is loaded.

This module does not import torch, since the command line registers the resolvers before it composes.
"""

from __future__ import annotations

import string

from omegaconf import ListConfig, OmegaConf

from gan_lightning.data.emoji_groups import chosen
from gan_lightning.data.folder_classes import folder_class_names

EMNIST_CLASSES = {  # in the order of the labels; "letters" counts from 1 in the files
    "byclass": [*string.digits, *string.ascii_uppercase, *string.ascii_lowercase],
    "bymerge": [*string.digits, *string.ascii_uppercase, *"abdefghnqrt"],
    "balanced": [*string.digits, *string.ascii_uppercase, *"abdefghnqrt"],
    "letters": [*string.ascii_lowercase],
    "digits": [*string.digits],
    "mnist": [*string.digits],
}


def register() -> None:
    """Register the resolvers in OmegaConf; may be called repeatedly."""
    OmegaConf.register_new_resolver("emnist_classes", emnist_classes, replace=True)
    OmegaConf.register_new_resolver("stl10_classes", stl10_classes, replace=True)
    OmegaConf.register_new_resolver("celeba_classes", celeba_classes, replace=True)
    OmegaConf.register_new_resolver("folder_classes", folder_classes, replace=True)
    OmegaConf.register_new_resolver("emoji_classes", emoji_classes, replace=True)
    OmegaConf.register_new_resolver("glyph_classes", glyph_classes, replace=True)


def emnist_classes(subset: str) -> int:
    """Return the number of classes of a subset of EMNIST; 0 for an unknown one (the data module refuses it)."""
    return len(EMNIST_CLASSES.get(subset, ()))


def stl10_classes(subset: str) -> int:
    """Return 10 for the labelled subset of STL-10, 0 for those that contain unlabelled images."""
    return 10 if subset == "train" else 0


def celeba_classes(attribute: str | None) -> int:
    """Return 2 classes (without, with) for an attribute of CelebA, 0 for none."""
    return 0 if attribute is None else 2


def folder_classes(root: str | None, labels: str | None, holdout: float | str | None = None) -> int:
    """Return the number of classes of a folder or archive, see `Folder`; 0 for none, and where there is no `root`.

    Raises UserError for a file of labels that cannot be read.
    """
    return len(folder_class_names(root, labels, holdout)) if root and labels else 0


def emoji_classes(subset: str | ListConfig | None) -> int:
    """Return the number of groups of emoji in a subset; 0 for an unknown one (the data module refuses it)."""
    return len(chosen(subset))  # type: ignore[arg-type]


def glyph_classes(classes: str) -> int:
    """Return 62 characters or 22 faces; 0 for what is not known (the data module refuses it)."""
    return {"character": 62, "face": 22}.get(classes, 0)
