"""Checks values of a configuration against constructors; a mistake is reported with the key that the user typed."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
import math
import re
import types
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, OmegaConf

from gan_lightning.errors import UserError, suggest

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}
LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)
OURS = "gan_lightning."
MISSING = "???"
MAY_BE_ZERO = ("continuous", "group_size")  # counts of networks, besides those that are 0 by default


def check_values(config: DictConfig, path: str, node: dict[str, Any], target: Callable[..., Any]) -> None:
    """Refuse arguments of `node` at `path` with another type than `target` takes, and sizes below 1."""
    hints, parameters = hints_of(target), parameters_of(target)
    further = next((p.name for p in parameters.values() if p.kind is p.VAR_KEYWORD), "")
    for name, value in node.items():
        if name.startswith("_") or isinstance(value, dict):
            continue
        key, hint = source(config, f"{path}.{name}"), hints.get(name, hints.get(further, Any))
        default = parameters[name].default if name in parameters else None
        if value == MISSING:
            raise UserError(f"{key} has no value yet: give {key}=...")
        if value != default and hint is not type(None) and not fits(value, hint):  # None: its class says why
            possible = words(hint, value) or f"an object, a node with a _target_ ({getattr(hint, '__name__', hint)})"
            raise UserError(f"{key}={shown(value)} is not possible: it is {possible}.")
        if target.__module__.startswith(("gan_lightning.", "torch.")):  # a user's class may want infinity
            _check_finite(key, value)
        if target.__module__.startswith("gan_lightning.networks.") and _is_size(hint):
            _check_sizes(key, value, 0 if default == 0 or name in MAY_BE_ZERO else 1)


def _check_finite(key: str, value: Any) -> None:
    """Refuse NaN and infinity: null is how an option says "none"."""
    several = value if isinstance(value, list) else [value]
    if any(isinstance(one, float) and not math.isfinite(one) for one in several):
        raise UserError(f"{key}={shown(value)} is out of range: it is a finite number.")


def _is_size(hint: Any) -> bool:
    return all(kind is int or (_is_list(kind) and get_args(kind)[:1] == (int,)) for kind in _kinds(hint))


def _check_sizes(key: str, value: Any, least: int) -> None:
    """Refuse counts below `least`."""
    if any(size < least for size in (value if isinstance(value, list) else [value])):
        raise UserError(f"{key}={shown(value)} is out of range: it is at least {least}.")


def check_numbers(config: DictConfig, numbers: dict[str, tuple[type, float]], always: Collection[str] = ()) -> None:
    """Refuse numbers of the wrong kind or out of range.

    numbers: key -> (kind, least value): int for whole numbers from it on, float for numbers above it, bool for true or
        false.
    always: keys that may not be null.
    """
    for key, (kind, least) in numbers.items():
        value = OmegaConf.select(config, key)
        if value is None and key not in always:
            continue
        good = fits(value, kind) and (kind is bool or least < value < math.inf or (kind is int and value == least))
        if not good:
            bound = "" if kind is bool or least == -math.inf else f" of at least {least}" if kind is int else " above 0"
            raise UserError(f"{key}={shown(value)} is not possible: it is {WORDS[kind]}{bound}.")


def check_optimizer(config: DictConfig, player: str) -> None:
    """Refuse learning rates below 0 and betas outside [0, 1)."""
    node = config.optim.get(player)
    if not OmegaConf.is_dict(node) or "_target_" not in node:
        raise UserError(f"optim.{player}={shown(node)} is not possible: it is an object, a node with a _target_.")
    lr, betas = node.get("lr", 0), node.get("betas", [])
    if isinstance(lr, int | float) and not 0 <= lr < float("inf"):
        key = source(config, f"optim.{player}.lr")
        raise UserError(f"{key}={lr} is out of range: a learning rate is a finite number of at least 0.")
    if any(isinstance(beta, int | float) and not 0 <= beta < 1 for beta in betas):
        key = source(config, f"optim.{player}.betas")
        raise UserError(f"{key}={shown(list(betas))} is out of range: each lies in [0, 1), such as [0.5,0.999].")


def source(config: DictConfig, path: str) -> str:
    """Return the key from which the value at `path` comes: `optim.lr` for `optim.generator.lr: ${optim.lr}`."""
    parent, _, name = path.rpartition(".")
    raw = OmegaConf.select(config, parent) if parent else config
    if OmegaConf.is_dict(raw) and OmegaConf.is_interpolation(raw, name):
        unresolved: Any = OmegaConf.to_container(raw, resolve=False)
        reference = re.fullmatch(r"\$\{([\w.]+)\}", str(unresolved[name]))
        if reference:
            return source(config, reference[1])
    return path


@cache
def parameters_of(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class or function; with those of its base if one of our classes passes on **options."""
    own = dict(inspect.signature(target).parameters)
    base = _base_with_options(target)
    if base is None:
        return own
    passed_on = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {**parameters_of(base), **{name: p for name, p in own.items() if p.kind not in passed_on}}


@cache
def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a class's or function's arguments, {} if they cannot be evaluated."""
    plain_class = inspect.isclass(target) and not dataclasses.is_dataclass(target)
    base = _base_with_options(target)
    try:
        own = get_type_hints(target.__init__ if plain_class else target)  # type: ignore[misc]
    except (NameError, TypeError, AttributeError):
        own = {}
    return {**hints_of(base), **own} if base is not None else own


def _base_with_options(target: Callable[..., Any]) -> type | None:
    """Return the class that gets `**options` from one of our classes: its base, or its `options_of`.

    Target uses its `**thresholds` itself.
    """
    if not inspect.isclass(target) or (not hasattr(target, "options_of") and not target.__module__.startswith(OURS)):
        return None
    options = inspect.signature(target).parameters.get("options")
    if options is None or options.kind is not options.VAR_KEYWORD:
        return None
    return vars(target).get("options_of", target.__base__)


def fits(value: Any, hint: Any) -> bool:
    """Return whether a scalar or a list from YAML is valid for an argument with annotation `hint`."""
    kinds = list(_kinds(hint))
    if len(kinds) > 1:
        return any(fits(value, kind) for kind in kinds)
    origin = get_origin(hint)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if hint is str or hint is Path:
        return isinstance(value, str | int | float)  # YAML reads a folder called 2024 as a number
    if hint in WORDS:
        return isinstance(value, (int, float) if hint is float else hint) and isinstance(value, bool) == (hint is bool)
    if _is_list(hint):
        return isinstance(value, list) and _elements_fit(value, hint)
    return hint is Any or not inspect.isclass(origin or hint)


def _elements_fit(values: list[Any], hint: Any) -> bool:
    choices = [choice for choice in get_args(hint) if choice is not Ellipsis] or [Any]
    if get_origin(hint) is tuple and Ellipsis not in get_args(hint):
        return len(values) == len(choices) and all(map(fits, values, choices))
    return all(isinstance(value, dict) or fits(value, choices[0]) for value in values)


def words(hint: Any, value: Any) -> str:
    """Return in words what `hint` allows; choices most similar to `value` first."""
    kinds = list(_kinds(hint))
    choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    plain = [f"one of {suggest(str(value), dict.fromkeys(choices))}"] if choices else []
    plain += [WORDS[kind] for kind in kinds if kind in WORDS] + [_list(kind) for kind in kinds if _is_list(kind)]
    return " or ".join(dict.fromkeys(plain))


def _kinds(hint: Any) -> Iterator[Any]:
    """Yield the members of a union, nested ones too."""
    if get_origin(hint) in (Union, types.UnionType):
        for choice in get_args(hint):
            yield from _kinds(choice)
    else:
        yield hint


def _is_list(hint: Any) -> bool:
    return (get_origin(hint) or hint) in LISTS


def _list(hint: Any) -> str:
    """Return "a list of 2, each a number"."""
    arguments = get_args(hint)
    number = f" of {len(arguments)}" if get_origin(hint) is tuple and Ellipsis not in arguments else ""
    return f"a list{number}{f', each {words(arguments[0], None)}' if arguments else ''}"


def shown(value: Any) -> str:
    """Return a value as typed on the command line."""
    if isinstance(value, list):
        return f"[{','.join(map(shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
