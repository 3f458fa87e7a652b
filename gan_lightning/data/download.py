"""Downloads that leave a complete data set or nothing."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from gan_lightning.errors import UserError

PATIENCE = 30.0  # seconds without an answer


def data_root(root: str | None) -> Path:
    """Return `root`, else $GAN_LIGHTNING_DATA, else ./data, as an absolute path."""
    return Path(root or os.environ.get("GAN_LIGHTNING_DATA") or "data").expanduser().absolute()


def fetch(name: str, root: Path, download: Callable[[Path], object], advice: str) -> None:
    """Call `download(folder)` with an empty folder, then move the downloaded files into `root`.

    Raises UserError for a download that fails: what is missing, why, and `advice` on how to place it by hand.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as staging, patience():
            say(f"{name}: downloading to {root}")
            download(Path(staging))
            for brought in sorted(Path(staging).iterdir()):
                place(brought, root / brought.name)
    except (OSError, RuntimeError, ImportError) as error:  # URLError is an OSError; a wrong checksum a RuntimeError
        reason = " ".join(str(error).split())
        raise UserError(f"data={name} is not in {root} and could not be downloaded ({reason}); {advice}") from error


def place(source: Path, target: Path) -> None:
    """Move `source` to `target`; files replace files, folders are merged."""
    if source.is_dir() and target.is_dir():
        for child in sorted(source.iterdir()):
            place(child, target / child.name)
    else:
        shutil.move(source, target)


@rank_zero_only
def say(text: str) -> None:
    """Print `text` on the first process only."""
    print(text, flush=True)


@contextmanager
def patience(seconds: float = PATIENCE) -> Iterator[None]:
    """Give up a server that does not answer for so long."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)  # torchvision sets none; without one a firewall could block a run for ever
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
