"""Converts errors of Hydra and OmegaConf to one sentence, with the most similar choices first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from importlib.resources import files
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_lightning.cli.former_options import now_called
from gan_lightning.cli.words import pasteable, unreadable
from gan_lightning.errors import UserError, nearest_first

NO_NAME = re.compile(r"null|true|false|nan|[-+]?(inf|[\d.]+(e[-+]?\d+)?)", re.IGNORECASE)  # for Hydra not text
SEVERAL = ("regularizer", "metrics", "callbacks", "logger")  # groups whose options are chosen as a list


def sentence(error: BaseException, command: str, words: Sequence[str] = ()) -> str:
    """Return `error` as one sentence for the user of `command`, who typed `words`."""
    for cause in causes(error):
        if isinstance(cause, UserError):
            return str(cause)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_option(error)
    wrong = error.override if isinstance(error, OverrideParseException) else unreadable(words)
    if wrong is not None and isinstance(error, HydraException):
        return _unreadable_word(wrong)
    text = str(error)
    unknown = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if unknown:
        return _unknown_key(unknown[1], command, words)
    return " ".join(text.split())


def _unreadable_word(word: str) -> str:
    corrected = pasteable(word)
    instead = f": {corrected}" if corrected else ", twice on a command line: 'key=\"a, b\"'"
    return (
        f"{word} cannot be read: write KEY=VALUE or GROUP=OPTION, close brackets and quotes, and put values with "
        f"spaces or special characters in quotes{instead}."
    )


def check_groups(overrides: Iterable[str]) -> None:
    """Refuse values that are not options of a group (null, numbers), for which Hydra has no error, and equal terms."""
    for word in overrides:
        group, _, option = word.partition("=")
        choices = options_of(group) if NO_NAME.fullmatch(option) else []
        if choices:
            none = "[]" if group in SEVERAL else "none" if "none" in choices else ""
            instead = f", or write {group}={none}" if none else ""
            raise UserError(f"{word} names no option of the group {group}: leave it out{instead}.")
        if group == "regularizer" and re.fullmatch(r"\[[^][]*\]", option):  # a single list, not a sweep over lists
            _check_terms(re.findall(r"[\w.-]+", option))


def _check_terms(options: list[str]) -> None:
    """Refuse two options that are the same term with different values: only the last would be used."""
    owners: dict[str, str] = {}
    for option in sorted({*options} & {*options_of("regularizer")}):
        for term in (key for key in _keys_of("regularizer", option) if key.count(".") == 1):
            if term in owners:
                raise UserError(
                    f"regularizer={owners[term]} and {option} are one term, {term}: choose one of them, its values are "
                    f"{term}.KEY=VALUE."
                )
            owners[term] = option


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error`, the error that caused it, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unknown_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    new = now_called(group, option)
    if new:
        return f"{group}={option} is now called {group}={new}: select that, its numbers are the same."
    choices = error.options or options_of(group)  # Hydra loses the options of a group that takes a list
    return f"There is no {group}={option}: choose one of {', '.join(nearest_first(option, choices)) or 'none'}."


def options_of(group: str) -> list[str]:
    """Return the names of our options of a group, none if it is no group."""
    folder = files("gan_lightning.conf").joinpath(*group.split("/"))
    return [file.name.removesuffix(".yaml") for file in folder.iterdir()] if folder.is_dir() else []


def _unknown_key(key: str, command: str, words: Sequence[str]) -> str:
    group = key.partition(".")[0]
    owners = sorted(f"{group}={option}" for option in options_of(group) if key in _keys_of(group, option))
    if owners:
        options = ", ".join(owners[:4]) + ", ..." * (len(owners) > 4)
        return f"{key} is not an option of the {group} that is chosen, but of {options}: choose that, or leave it out."
    near = nearest_keys(key, _keys(command, words))
    return f"There is no option {key}: the nearest are {', '.join(near)} (a key of your own needs a +: +{key}=...)."


def _keys_of(group: str, option: str) -> set[str]:
    """Return the paths of all keys that the file of a group's option writes."""
    text = files("gan_lightning.conf").joinpath(*group.split("/"), f"{option}.yaml").read_text()
    node = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    return set(key_paths(node if "@package _global_" in text else {group: node}))


def nearest_keys(key: str, known: Iterable[str], number: int = 4) -> list[str]:
    """Return the known keys most similar to `key`, comparing whole keys and their last parts."""
    last = key.rpartition(".")[2]

    def likeness(name: str) -> float:
        ends = SequenceMatcher(None, last, name.rpartition(".")[2]).ratio()
        return max(ends - 0.01 * name.count("."), SequenceMatcher(None, key, name).ratio())

    offered = {name for name in known if not name.rpartition(".")[2].startswith("_") and name != key}
    return sorted(offered, key=lambda name: (-likeness(name), name))[:number]


def _keys(command: str, words: Sequence[str]) -> Iterator[str]:
    """Yield all keys of the configuration with the options that are chosen in `words`, as far as there are such."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_module("gan_lightning.conf", version_base="1.3"):
        try:
            config = hydra.compose(command, [word for word in words if _chooses(word)])
        except (HydraException, OmegaConfBaseException):
            config = hydra.compose(command)
    yield from key_paths(OmegaConf.to_container(config, resolve=False))


def _chooses(word: str) -> bool:
    """Return whether `word` chooses one of our options of a group, or several."""
    group, _, option = word.partition("=")
    names = {name.strip() for name in option.strip("[]").split(",")}
    return bool(option) and names <= {"", *options_of(group)}


def key_paths(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted paths of all keys of nested dicts, without Hydra's own keys."""
    for name, child in node.items():
        if name not in ("defaults", "hydra"):
            yield f"{prefix}{name}"
            if isinstance(child, dict):
                yield from key_paths(child, f"{prefix}{name}.")
