"""Descriptions of networks in a checkpoint, and differences between two of them."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from gan_lightning.networks.registry import full_name

Config = dict[str, Any]


def changed_tensors(saved: dict[str, Tensor], mine: dict[str, Tensor]) -> list[str]:
    """Return the names of tensors that only one of two state dicts has, then of those that differ in shape."""
    shared = sorted(saved.keys() & mine.keys())
    return [*sorted(saved.keys() ^ mine.keys()), *(name for name in shared if saved[name].shape != mine[name].shape)]


def same_counts(saved: list[Any] | None, names: list[list[str]]) -> bool:
    """Return whether each optimiser of a checkpoint has as many parameters as the player has; True without any."""
    counts = [sum(len(group["params"]) for group in optimizer["param_groups"]) for optimizer in saved or ()]
    return not counts or counts == [len(several) for several in names]


def fitting(saved: dict[str, Tensor], mine: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of one state dict that exist in the other with the same shape."""
    return {name: tensor for name, tensor in saved.items() if name in mine and mine[name].shape == tensor.shape}


def changed_keys(before: Config | None, now: Config | None) -> list[str]:
    """Return the dotted keys of `model` in which two configurations differ."""
    models = [leaves((config or {}).get("model", {}), "model") for config in (before, now)]
    return list(dict.fromkeys(sorted(name for name, _ in models[0] ^ models[1])))


def leaves(node: Any, path: str) -> set[tuple[str, str]]:
    """Return (dotted path, value as text) of every leaf of nested dicts."""
    if not isinstance(node, dict):
        return {(path, repr(node))}
    return set().union(*[leaves(child, f"{path}.{name}") for name, child in node.items()])


def describe(network: Any) -> Any:
    """Return how to build `network` as plain containers with `_target_`, or None if it is not known."""
    if isinstance(network, nn.Module):
        arguments = getattr(network, "arguments", None)
        if arguments is None:
            return None
        plain = {name: describe(value) for name, value in arguments.items()}
        return None if any(plain[n] is None and arguments[n] is not None for n in plain) else plain
    if isinstance(network, partial):
        keywords = {name: describe(value) for name, value in network.keywords.items()}
        return {"_target_": full_name(network.func), "_partial_": True, **keywords}
    if isinstance(network, type):
        return {"_target_": full_name(network), "_partial_": True}
    if isinstance(network, list | tuple):
        return [describe(value) for value in network]
    if isinstance(network, dict):
        return {str(name): describe(value) for name, value in network.items()}
    return network if isinstance(network, str | int | float | bool) else None


def told(taken: dict[str, Tensor], saved: dict[str, Tensor], mine: dict[str, Tensor]) -> list[str]:
    """Return sentences: which tensors of `mine` were `taken` from `saved`, which were not, and why."""
    other = [name for name in saved if name in mine and name not in taken]
    groups = {
        "of another shape": [f"{n} is {tuple(saved[n].shape)} there and {tuple(mine[n].shape)} here" for n in other],
        "not there, as drawn": [name for name in mine if name not in saved],
        "not used": [name for name in saved if name not in mine],
    }
    lines = [f"init_from: {len(taken)} of {len(mine)} tensors were taken over."]
    return [*lines, *(f"init_from: {len(names)} {what}: {few(names)}." for what, names in groups.items() if names)]


def few(names: list[str], most: int = 6) -> str:
    """Return the first names and the number of the others."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
