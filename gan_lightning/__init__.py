"""gan-lightning: train, compare and use generative adversarial networks.

    lightning.Trainer(max_epochs=10).fit(gan_lightning.GAN(generator, discriminator), datamodule)
    gan_lightning.load("outputs/2026-01-01/12-00-00").sample(16, seed=0)

Attributes are imported on first use, so that loading a generator does not import a training framework.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_WHERE = {
    "GAN": "gan_lightning.modules.gan",
    "ReplicaStrategy": "gan_lightning.training.distributed",
    "UserError": "gan_lightning.errors",
    "load": "gan_lightning.inference.load",
}
__all__ = ["GAN", "ReplicaStrategy", "UserError", "load"]


_PACKAGES = {"data", "inference", "losses", "metrics", "networks", "regularizers"}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"gan_lightning.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'gan_lightning' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*_WHERE, *_PACKAGES})
