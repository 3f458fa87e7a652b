"""Compositions for tests of many pairs: each option is composed once, and put into copies of whole configurations.

Hydra reads some forty files for one composition, which takes 0.15 s; the options of all groups make thousands of pairs.
"""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

from omegaconf import DictConfig

from gan_lightning.cli.train import train

CONF = Path(__file__).parents[2] / "conf"
SEVERAL = ("regularizer", "metrics", "callbacks", "logger")
SELECTED_BY = {"data": ("data", "metrics", "extractor")}  # what an option chooses beside its own node


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def choose(group: str, option: str) -> str:
    return f"{group}=[{option}]" if group in SEVERAL else f"{group}={option}"


def compose(*overrides: str) -> DictConfig:
    """Return Hydra's composition, a copy of its own for each caller."""
    return pickle.loads(_pickled(overrides))


def exchange(config: DictConfig, group: str, option: str) -> DictConfig:
    """Put another option of `group` into `config` and return it, as if Hydra had composed it with `group=option`.

    For groups whose options fill their own node alone, beside those of SELECTED_BY; test_compose.py compares the two.
    A model and data with a file in conf/tuned are more than their nodes: compose them.
    """
    chosen = _composed(("model=mlp2d", choose(group, option)))
    for name in SELECTED_BY.get(group, (group,)):
        config[name] = chosen._get_node(name)  # copied, with its interpolations
    return config


@cache
def _pickled(overrides: tuple[str, ...]) -> bytes:
    return pickle.dumps(_composed(overrides))  # read several times as fast as deepcopy copies


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    return train.compose(overrides)
