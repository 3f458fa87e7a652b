"""Finds keys that nothing reads: Hydra accepts any key in a YAML file, and a misspelt key would have no effect."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gan_lightning.cli.app import overrides
from gan_lightning.cli.sentences import SEVERAL, key_paths, nearest_keys
from gan_lightning.errors import UserError, nearest_first

READ = (
    *("optim.generator", "optim.discriminator", "optim.clip_norm", "conditioning.needs_labels", "conditioning.head"),
    *("optim.lr", "optim.betas"),  # defaults of the players; unused if both have their own values
)
OPEN = ("conditioning", "published")  # their keys are checked where they are read


def check_known(config: DictConfig) -> None:
    """Refuse a key that is not in train.yaml, of no object, in no interpolation, and not given with a +."""
    raw: Any = OmegaConf.to_container(config, resolve=False)
    known = {*READ, *_own_keys()}
    referenced = set(_references(raw))
    added = [word.lstrip("+").partition("=")[0].partition("@")[0] for word in overrides() if word.startswith("+")]
    for path in _free_keys(raw):
        if path in known or path.split(".")[0] in OPEN or _touches(path, [*referenced, *added]):
            continue
        near = nearest_keys(path, [*known, *key_paths(raw)])
        raise UserError(
            f"{path} in a configuration file has no effect, nothing reads it: the nearest are {', '.join(near)}."
        )
    for group in SEVERAL:
        for name, node in (raw.get(group) or {}).items():
            if node is None:
                raise UserError(f"{group}.{name}=null names nothing to build: '~{group}.{name}' leaves it out.")
            if not isinstance(node, dict) or "_target_" not in node:
                there = nearest_first(name, [other for other in raw[group] if other != name])
                raise UserError(
                    f"{group}.{name} says nothing to build, it has no _target_: select it by {group}=[...,{name}], or "
                    f"correct its name, nearest are {', '.join(there[:4]) or 'none'}."
                )


@cache
def _own_keys() -> frozenset[str]:
    """Return the keys and the groups of train.yaml; it is read once."""
    ours = OmegaConf.load(str(files("gan_lightning.conf") / "train.yaml"))
    return frozenset([*key_paths(OmegaConf.to_container(ours)), *_groups(ours)])


def _free_keys(node: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of all keys that are not arguments of an object; those are checked against its signature."""
    for name, child in node.items():
        path = f"{prefix}{name}"
        if path in SEVERAL or path == "hydra":
            continue
        if isinstance(child, dict) and child and "_target_" not in child:
            yield from _free_keys(child, f"{path}.")
        else:
            yield path


def _groups(ours: Any) -> Iterator[str]:
    return (str(name) for entry in ours.defaults if OmegaConf.is_dict(entry) for name in entry)


def _references(node: Any) -> Iterator[str]:
    """Yield the keys in interpolations such as `${data.image_size}`, also in a resolver's arguments."""
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from _references(child)
    elif isinstance(node, str):
        yield from re.findall(r"\$\{(?:oc\.select:)?([\w.]+)", node)


def _touches(path: str, others: list[str]) -> bool:
    """Return whether `path` is one of `others`, or above or below one."""
    return any(f"{path}.".startswith(f"{other}.") or f"{other}.".startswith(f"{path}.") for other in others)
