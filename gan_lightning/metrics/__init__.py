"""Metrics of generated samples, and the networks whose features they compare.

`evaluate(real, fake, ["fid", "kid"])` scores folders, tensors and data modules; it is imported on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["evaluate"]


def __getattr__(name: str) -> Any:
    if name != "evaluate":
        raise AttributeError(f"module 'gan_lightning.metrics' has no attribute {name!r}")
    # Imported by name, because the evaluation package imports this package.
    return importlib.import_module("gan_lightning.evaluation.image_sets").evaluate


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
