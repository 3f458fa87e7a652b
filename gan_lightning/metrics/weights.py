"""Weights of published networks: downloaded once to PyTorch's hub folder and identified by their hash."""

from __future__ import annotations

from pathlib import Path

import torch

from gan_lightning.errors import UserError
from gan_lightning.paths import sha256


def fetched(url: str, hash_prefix: str, what: str, advice: str) -> Path:
    """Return the file of `url` in the hub's folder, downloaded if it is not there.

    hash_prefix: first digits of its SHA-256. what, advice: for the UserError, raised if the file is neither there nor
    can be downloaded, or if it is not the published one.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), hash_prefix=hash_prefix)
        except (OSError, RuntimeError) as error:  # no network, no room, a broken download
            raise UserError(
                f"There is no {path} with {what}, and it cannot be downloaded from {url} ({error}): put the file "
                f"there, or {advice}."
            ) from error
    if not sha256(path).startswith(hash_prefix):
        raise UserError(f"{path} is not the published file with {what}: replace it by the one from {url}, or {advice}.")
    return path
