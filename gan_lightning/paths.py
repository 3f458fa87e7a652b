"""The cache folder, the hash of a file, and atomic writing: a killed process never leaves an incomplete file."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from gan_lightning.errors import UserError


def cache_dir() -> Path:
    """Return the folder for files that are kept between runs: real statistics, trained classifiers.

    `GAN_LIGHTNING_CACHE`, else `$XDG_CACHE_HOME/gan-lightning`, else `~/.cache/gan-lightning`; created if missing.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(os.environ.get("GAN_LIGHTNING_CACHE") or Path(base) / "gan-lightning")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"The cache {path} cannot be made ({error.strerror}): set GAN_LIGHTNING_CACHE=FOLDER."
        ) from error
    return path


def sha256(path: Path) -> str:
    """Return the hash of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path | str, write: Callable[[Path], object]) -> Path:
    """Call `write(temporary)` in the folder of `path`, then rename: readers see the old file or the complete new one.

    The temporary file has the suffix of `path`, since image writers choose the format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        write(Path(name))
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
