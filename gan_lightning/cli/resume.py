"""Resuming a run: its own configuration, with the overrides given beside `resume=` applied to it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig, OmegaConf, open_dict
from yaml import YAMLError

from gan_lightning.cli.absolute import former_folder, make_absolute
from gan_lightning.cli.app import composed as compose
from gan_lightning.cli.app import first_process
from gan_lightning.cli.former_options import translated
from gan_lightning.cli.sentences import key_paths, nearest_keys, options_of
from gan_lightning.cli.words import MULTIRUN, apart, unquoted
from gan_lightning.errors import UserError

CHOICES = ".hydra/choices.yaml"
SAVED = ".hydra/config.yaml"  # with interpolations, so that an override reaches all keys that depend on it
NEEDED = {"model", "data", "loss", "optim", "trainer"}
NOT_TAKEN_UP = ("resume", "run_dir")
NO_CHOICES = ("tuned", "sweep")  # follow from other groups, or concern Hydra alone


def run_folder(overrides: Sequence[str]) -> Path | None:
    """Return the folder named by a `resume=` among `overrides`, which must contain a run."""
    named = [word.partition("=")[2] for word in overrides if word.startswith("resume=")]
    if not named or named[-1] in ("", "null"):
        return None
    folder = Path(unquoted(named[-1])).expanduser().resolve()
    if folder.is_file():
        raise UserError(f"resume={folder} is a file: resume takes a run's folder, ckpt_path starts from a checkpoint.")
    if not (folder / "config.yaml").is_file():
        raise UserError(f"resume={folder} is no run's folder: there is no config.yaml in it.")
    return folder


def composed_from(words: list[str]) -> list[str]:
    """Return the words from which Hydra composes: beside `resume` only those about Hydra itself.

    The other words change the configuration of the run, which Hydra does not know. A sweep over them is Hydra's.
    """
    resumes = any(word.startswith("resume=") and word not in ("resume=", "resume=null") for word in words)
    if not resumes or not MULTIRUN.isdisjoint(words):
        return words
    given, flags = apart(words)
    return [*(word for word in given if word.lstrip("+~").startswith(("resume=", "run_dir=", "hydra"))), *flags]


def merge(composed: DictConfig, overrides: Sequence[str], folder: Path) -> DictConfig:
    """Return the run's configuration with `overrides` applied.

    composed: the default configuration. An option chosen for a group is taken completely, unless it is the run's own.
    """
    config, choices = _saved(folder, composed), saved_choices(folder)
    make_absolute(config, former_folder(folder))  # of a run whose paths were saved as they were typed
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    for override in sorted(parsed, key=lambda one: not options_of(one.key_or_group)):  # groups first, then their keys
        name = override.get_key_element().lstrip("+~").partition("@")[0]
        if name in NOT_TAKEN_UP or name.startswith("hydra"):
            continue
        if name in ("ckpt_path", "init_from"):
            raise UserError(f"resume and {name} exclude each other: a run goes on from its own last checkpoint.")
        if override.is_sweep_override():
            raise UserError(f"{override.input_line} names several values: a run goes on with one of them.")
        with open_dict(config):
            _apply(config, override, name, choices, overrides)
        if first_process():
            print(f"resume: {name} = {override.get_value_element_as_str()}")
    with open_dict(config):
        config.resume, config.run_dir = str(folder), str(folder)
    return config


def _apply(config: DictConfig, override: Override, name: str, choices: dict[str, Any], words: Sequence[str]) -> None:
    """Apply one override to the run's configuration: a value, an option of a group, or a deletion."""
    if override.is_delete():
        parent, _, leaf = name.rpartition(".")
        (OmegaConf.select(config, parent) if parent else config).pop(leaf, None)
    elif options_of(name):
        if choices.get(name) != plain_value(override):  # the run's own option keeps the run's values
            node = OmegaConf.select(_composed_as(choices, words), name)
            OmegaConf.update(config, name, node, merge=not OmegaConf.is_config(node), force_add=True)
    else:
        if not (override.is_add() or override.is_force_add() or _has(config, name)):
            near = nearest_keys(name, key_paths(OmegaConf.to_container(config, resolve=False)))
            raise UserError(
                f"There is no option {name} in the configuration of the run: the nearest are {', '.join(near)} (a key "
                f"of your own needs a +: +{name}=...)."
            )
        OmegaConf.update(config, name, plain_value(override), merge=False, force_add=True)


def _composed_as(choices: dict[str, Any], words: Sequence[str]) -> DictConfig:
    """Return the configuration with the run's options of all groups, but for those that are chosen in `words`."""
    chosen = [word for word in words if options_of(word.partition("=")[0].partition("@")[0])]
    named = {word.partition("=")[0] for word in chosen}
    own = [f"{group}={_word(option)}" for group, option in choices.items() if group not in named]
    try:
        return compose("train", [*own, *chosen])
    except UserError:  # of an older run, whose options may be called otherwise by now
        return compose("train", chosen)


def _word(option: Any) -> str:
    return f"[{','.join(option)}]" if isinstance(option, list) else str(option)


def _has(config: DictConfig, name: str) -> bool:
    parent, _, leaf = name.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return OmegaConf.is_dict(node) and leaf in node.keys()  # noqa: SIM118 (`in node` is False for an interpolation)


def plain_value(override: Override) -> Any:
    """Return an override's value as plain containers."""
    return _unquoted(override.value())


def _unquoted(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    if isinstance(value, dict):
        return {str(_unquoted(key)): _unquoted(one) for key, one in value.items()}
    return value


def saved_choices(folder: Path) -> dict[str, Any]:
    """Return the options of groups that a run chose: as it saved them, of an older run as Hydra did; {} if unknown."""
    for name, path in ((CHOICES, ""), (".hydra/hydra.yaml", "hydra.runtime.choices")):
        try:
            found: Any = OmegaConf.to_container(OmegaConf.load(folder / name), resolve=False)
        except (YAMLError, OSError, UnicodeDecodeError):
            continue
        for part in path.split(".") if path else ():
            found = found.get(part) or {}
        return of_groups(found)
    return {}


def of_groups(chosen: dict[Any, Any]) -> dict[str, Any]:
    """Return those of Hydra's choices that are options of a group of ours."""
    groups = {str(group): option for group, option in chosen.items() if option is not None and "/" not in str(group)}
    return {group: option for group, option in groups.items() if group not in NO_CHOICES and options_of(group)}


def choices(words: Sequence[str], before: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the groups that a run uses: those of `before`, and those chosen in `words`."""
    found = dict(before)
    for override in OverridesParser.create().parse_overrides(list(words)):
        if not override.is_delete() and options_of(name := override.key_or_group):
            found[name] = plain_value(override)
    return found


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
