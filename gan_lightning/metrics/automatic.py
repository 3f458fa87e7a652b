"""The extractor for whoever has not chosen one: Inception where its weights can be had, else EfficientNet-Lite0."""

from __future__ import annotations

from gan_lightning.data.download import patience
from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Extractor
from gan_lightning.metrics.inception import Inception
from gan_lightning.metrics.lite import Lite

PATIENCE = 20  # seconds without an answer, after which there is no network


def automatic() -> Extractor:
    """Return the extractor that `available` names."""
    return Inception() if available() == "inception" else Lite()


def available(download: bool = True) -> str:
    """Return "inception" if its weights are in PyTorch's hub folder or can be downloaded, else "lite"; print which.

    download: False looks only into the folder and prints nothing.
    Raises UserError if neither can be used.
    """
    there = Inception.file().is_file()
    if not download:
        return "inception" if there else "lite"
    name, reason = ("inception", "") if there else _downloaded()
    print(f"extractor=auto: {name}{reason}.", flush=True)
    return name


def _downloaded() -> tuple[str, str]:
    """Return the name after an attempt to download Inception's weights, and the reason for another than Inception."""
    try:
        with patience(PATIENCE):
            Inception().locate()
    except UserError as error:
        _check_lite(error)
        return "lite", f", since Inception's weights are not at {Inception.file()} and cannot be downloaded"
    return "inception", ""


def _check_lite(reason: UserError) -> None:
    try:
        Lite().check()
    except UserError as error:
        raise UserError(f"extractor=auto finds no weights. {error} Or, for Inception: {reason}") from error
