"""Tensors that are worth keeping between runs, each file named by all that they depend on."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gan_lightning.paths import cache_dir, write_atomically

ROWS = 2  # part of the key of rows, to be raised when the meaning of what is stored changes


def place(folder: str, identity: str) -> Path:
    """Return the file in `folder` of the cache for what `identity` says; another identity has another file."""
    return cache_dir() / folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.safetensors"


def rows_place(kind: str, *fingerprints: str) -> Path:
    """Return the file of the rows of a kind, such as features, of a whole set of images: {"rows": `(N, ...)`}.

    fingerprints: of the images, and of the extractor where it made the rows.
    """
    return place("rows", "\n".join((str(ROWS), kind, *fingerprints)))


def read(path: Path) -> dict[str, Tensor] | None:
    """Return what `write` wrote; None if there is no such file, or none that can be read."""
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return None


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write atomically; a warning where that fails, since what was measured is at hand."""
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        write_atomically(path, lambda temporary: save_file(whole, temporary))
    except (OSError, SafetensorError) as error:  # a full disk
        warnings.warn(
            f"{path} cannot be written ({error}), so the next evaluation measures it again: make room, or set "
            "GAN_LIGHTNING_CACHE=FOLDER.",
            stacklevel=2,
        )
