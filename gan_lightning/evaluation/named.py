"""Metrics and extractors by the names of their files in `conf`."""

from __future__ import annotations

import importlib
from functools import partial
from importlib.resources import files
from typing import Any

from gan_lightning.errors import UserError, suggest
from gan_lightning.metrics.base import Extractor


def metrics(name: str) -> dict[str, Any]:
    """Return what conf/metrics/`name`.yaml selects, by name: one metric's factory, or those of a preset and itself."""
    node = _node("metrics", name)
    found: dict[str, Any] = {}
    for other in node.pop("defaults", []):
        found |= metrics(other) if other != "_self_" else {}
    return found | {key: _built(entry) for key, entry in node.items()}


def extractor(name: str) -> Extractor:
    """Return the extractor of conf/extractor/`name`.yaml."""
    return _built(_node("extractor", name))


def _node(group: str, name: str) -> dict[str, Any]:
    from omegaconf import OmegaConf

    folder = files("gan_lightning.conf") / group
    there = [file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")]
    if name not in there:
        raise UserError(f"There is no {group}={name}: choose one of {suggest(name, there)}.")
    return OmegaConf.to_container(OmegaConf.create((folder / f"{name}.yaml").read_text()))  # type: ignore[return-value]


def _built(node: Any) -> Any:
    """Return the object that a node of our own files describes."""
    if not (isinstance(node, dict) and "_target_" in node):
        return node
    module, _, name = node["_target_"].rpartition(".")
    target = getattr(importlib.import_module(module), name)
    options = {key: _built(value) for key, value in node.items() if not key.startswith("_")}
    return partial(target, **options) if node.get("_partial_") else target(**options)
