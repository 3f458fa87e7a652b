"""Relative paths of a configuration become absolute, so that a run goes on and is measured from any folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gan_lightning.data.archives import is_archive

ALWAYS = ("ckpt_path", "init_from", "save_dir", "default_root_dir")  # keys, by their last part
OURS = ("root", "weights")  # paths where the class is ours; elsewhere where there is such a file
IF_THERE = ("data.labels",)  # a file, or a word


def make_absolute(config: DictConfig, base: Path | None = None) -> None:
    """Make the relative paths in `config` absolute, seen from `base`; None: from the present folder."""
    for node, name, ours in _paths(config):
        try:
            value = node[name]
        except OmegaConfBaseException:  # an interpolation that fails is reported where it is needed
            continue
        if not isinstance(value, str) or not value or "://" in value or Path(value).expanduser().is_absolute():
            continue
        path = os.path.abspath((base or Path.cwd()) / value)
        if ours or (os.path.exists(path) and not _in_root(node, value, base or Path.cwd())):
            with open_dict(node):
                node[name] = path


def _in_root(node: DictConfig, value: str, base: Path) -> bool:
    """Return whether a file of labels is sought in the data's root, which comes before the present folder."""
    root = node.get("root")
    return isinstance(root, str) and (is_archive(Path(root)) or (base / Path(root).expanduser() / value).exists())


def _paths(node: DictConfig, prefix: str = "") -> Iterator[tuple[DictConfig, str, bool]]:
    """Yield (parent, key, whether it is a path for sure) of all keys whose values are paths."""
    ours = str(node.get("_target_", "")).startswith("gan_lightning.")
    for name in map(str, node.keys()):
        child: Any = node._get_node(name)
        if OmegaConf.is_dict(child) and not child._is_none() and not child._is_interpolation():
            yield from _paths(child, f"{prefix}{name}.")
        elif name in (*ALWAYS, *OURS) or f"{prefix}{name}" in IF_THERE:
            yield node, name, name in ALWAYS or (ours and name in OURS)


def former_folder(run: Path) -> Path | None:
    """Return the folder in which a run was started, as Hydra wrote it down; None if it did not, or it is gone."""
    try:
        found: Any = OmegaConf.select(OmegaConf.load(run / ".hydra" / "hydra.yaml"), "hydra.runtime.cwd")
    except (OSError, ValueError, YAMLError, OmegaConfBaseException):
        return None
    return Path(found) if isinstance(found, str) and Path(found).is_dir() else None
