"""Hydra's and OmegaConf's errors, told as one sentence with the nearest choices first."""

from __future__ import annotations

import re
from collections.abc import Iterator

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from omegaconf import DictConfig, OmegaConf

from gan_lightning.errors import UserError, nearest_first


def sentence(error: BaseException, command: str) -> str:
    """Return what `error` says to the user of `command`, in one sentence."""
    for cause in _causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error)
    text = str(error)
    unknown = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if unknown:
        return _unknown_key(unknown[1], command)
    return " ".join(text.split())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unknown_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    choices = nearest_first(option, error.options or [])
    return f"There is no {group}={option}: choose one of {', '.join(choices)}."


def _unknown_key(key: str, command: str) -> str:
    """Name the keys most like the unknown one; a match of its last part counts, since that is what people type."""
    known = list(_keys(command))
    last = key.rpartition(".")[2]
    near = [name for name in known if name.rpartition(".")[2] == last]
    near += [name for name in nearest_first(key, known) if name not in near]
    return (
        f"There is no option {key}: the nearest are {', '.join(near[:5])} (a key of your own needs a +: +{key}=...)."
    )


def _keys(command: str) -> Iterator[str]:
    GlobalHydra.instance().clear()
    with hydra.initialize_config_module("gan_lightning.conf", version_base="1.3"):
        config = hydra.compose(command)
    yield from _leaves(config, "")


def _leaves(node: DictConfig, prefix: str) -> Iterator[str]:
    for name in node:
        yield f"{prefix}{name}"
        child = OmegaConf.to_container(node, resolve=False)[name]
        if isinstance(child, dict):
            yield from _leaves(OmegaConf.create(child), f"{prefix}{name}.")
