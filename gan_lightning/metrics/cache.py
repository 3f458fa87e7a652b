"""A cache of tensors between runs; a file's name is a hash of everything that its tensors depend on."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gan_lightning.paths import cache_dir, write_atomically

ROWS = 2  # part of the key of rows; increase it when the meaning of the stored values changes


def place(folder: str, identity: str) -> Path:
    """Return the cache file in `folder` for `identity`; each identity has its own file."""
    return cache_dir() / folder / f"{hashlib.sha256(identity.encode()).hexdigest()[:24]}.safetensors"


def rows_place(kind: str, *fingerprints: str) -> Path:
    """Return the cache file for all rows of one kind, such as features, of a set of images: {"rows": `(N, ...)`}.

    fingerprints: of the images, and of the extractor if it computed the rows.
    """
    return place("rows", "\n".join((str(ROWS), kind, *fingerprints)))


def read(path: Path) -> dict[str, Tensor] | None:
    """Return what `write` stored; None if the file does not exist or cannot be read."""
    try:
        return load_file(path)
    except (OSError, SafetensorError):
        return None


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write atomically. A failure gives only a warning, since the values are already in memory."""
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        write_atomically(path, lambda temporary: save_file(whole, temporary))
    except (OSError, SafetensorError) as error:  # a full disk
        warnings.warn(
            f"{path} cannot be written ({error}), so the next evaluation measures it again: make room, or set "
            "GAN_LIGHTNING_CACHE=FOLDER.",
            stacklevel=2,
        )
