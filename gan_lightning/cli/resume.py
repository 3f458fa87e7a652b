"""Resuming a run: its own configuration, with the overrides given beside `resume=` applied to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict
from yaml import YAMLError

from gan_lightning.cli.app import first_process
from gan_lightning.cli.former_options import translated
from gan_lightning.errors import UserError

SAVED = ".hydra/config.yaml"  # with interpolations, so that an override reaches all keys that depend on it
NEEDED = {"model", "data", "loss", "optim", "trainer"}
NOT_TAKEN_UP = ("resume", "run_dir")


def run_folder(overrides: Sequence[str]) -> Path | None:
    """Return the folder named by a `resume=` among `overrides`, which must contain a run."""
    named = [word.partition("=")[2] for word in overrides if word.startswith("resume=")]
    if not named or named[-1] in ("", "null"):
        return None
    folder = Path(named[-1].strip("'\"")).expanduser().resolve()
    if folder.is_file():
        raise UserError(f"resume={folder} is a file: resume takes a run's folder, ckpt_path starts from a checkpoint.")
    if not (folder / "config.yaml").is_file():
        raise UserError(f"resume={folder} is no run's folder: there is no config.yaml in it.")
    return folder


def merge(composed: DictConfig, overrides: Sequence[str], folder: Path) -> DictConfig:
    """Return the run's configuration with `overrides` applied.

    composed: the configuration from the command line alone; an option chosen for a group is taken from it completely.
    """
    config = _saved(folder, composed)
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        name = override.get_key_element().lstrip("+~").partition("@")[0]
        if name in NOT_TAKEN_UP or name.startswith("hydra"):
            continue
        if name in ("ckpt_path", "init_from"):
            raise UserError(f"resume and {name} exclude each other: a run goes on from its own last checkpoint.")
        node = OmegaConf.select(composed, name)
        with open_dict(config):
            if override.is_delete():
                parent, _, leaf = name.rpartition(".")
                (OmegaConf.select(config, parent) if parent else config).pop(leaf, None)
            else:
                OmegaConf.update(config, name, node, merge=not OmegaConf.is_config(node), force_add=True)
        if first_process():
            print(f"resume: {name} = {override.get_value_element_as_str()}")
    with open_dict(config):
        config.resume, config.run_dir = str(folder), str(folder)
    return config


def _saved(folder: Path, composed: DictConfig) -> DictConfig:
    """Return the configuration that a run wrote, with keys added since; UserError for another file."""
    path = folder / SAVED if (folder / SAVED).is_file() else folder / "config.yaml"
    try:
        config = OmegaConf.load(path)
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as a run's configuration: {' '.join(str(error).split())}.") from error
    if OmegaConf.is_dict(config):
        config = OmegaConf.create(translated(OmegaConf.to_container(config)))
    missing = [str(name) for name in composed if not OmegaConf.is_dict(config) or name not in config]
    if missing and not NEEDED.isdisjoint(missing):
        raise UserError(f"{path} is no configuration of a run: it has no {missing[0]}.")
    return cast(DictConfig, OmegaConf.merge({name: composed._get_node(name) for name in missing}, config))


def last_checkpoint(folder: Path) -> Path:
    """Return the checkpoint from which to resume; raises UserError if the run has none."""
    path = folder / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise UserError(f"{folder} has no checkpoints/last.ckpt to resume from: start the run anew.")
    return path
