"""Converts files of former versions to the present format, with one conversion for each format of a checkpoint.

Code that reads a checkpoint or an exported generator calls `upgrade`; all other code supports only the present format.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor

from gan_lightning.errors import UserError

Checkpoint = dict[str, Any]
Names = Sequence[Sequence[str]]


def check_format(description: Any, source: object = "The checkpoint") -> None:
    """Raise UserError unless `description`, read from `source`, has a format that this version supports."""
    version = description.get("format") if isinstance(description, dict) else None
    if not isinstance(version, int) or version < 1:
        raise UserError(f"{source} was not written by gan_lightning: it has no 'format' number.")
    if version > FORMAT:
        raise UserError(f"{source} has format {version}, this gan_lightning reads up to {FORMAT}: install a newer one.")


def upgrade(checkpoint: Checkpoint, parameters: Names | None = None) -> Checkpoint:
    """Return `checkpoint` in the present format; its containers and tensors are not changed.

    checkpoint: with entries "gan_lightning" (the description, with the format), "state_dict" and, to resume a training,
        "optimizer_states".
    parameters: for each optimiser the names of its parameters in the state dict, in the optimiser's order. If None,
        states of optimisers cannot be converted, and those of a former format are left out. Raises UserError for an
        unknown format.
    """
    check_format(checkpoint["gan_lightning"])
    for convert in CONVERSIONS[checkpoint["gan_lightning"]["format"] - 1 :]:
        checkpoint = convert(checkpoint, parameters)
    return {**checkpoint, "gan_lightning": {**checkpoint["gan_lightning"], "format": FORMAT}}


# From 1 to 2: in StyleGAN2's mappings the gain sqrt 2, before only on weights, is now on weights and biases ----------

GAIN = math.sqrt(2)
MOMENTS = {  # the power of the gradient in the states of Adam, SGD and RMSprop
    "exp_avg": 1,
    "grad_avg": 1,
    "momentum_buffer": 1,
    "exp_avg_sq": 2,
    "max_exp_avg_sq": 2,
    "square_avg": 2,
}
MAPPING_BIAS = re.compile(r"((?:.*\.)?)mapping\.layers\.\d+\.bias")


def _scale_mapping_biases(checkpoint: Checkpoint, parameters: Names | None) -> Checkpoint:
    """Divide the biases by the gain; with b' = b / sqrt 2 a loss has the gradient dL/db' = sqrt 2 dL/db."""
    tensors = checkpoint["state_dict"]
    biases = _mapping_biases(name for name in tensors if isinstance(tensors[name], Tensor))
    scaled = {name: tensors[name] / GAIN for name in biases}
    converted = {**checkpoint, "state_dict": {**tensors, **scaled}}
    states = converted.pop("optimizer_states", None)
    if states is not None and parameters is not None:
        pairs = zip(states, parameters, strict=True)
        converted["optimizer_states"] = [_scale_moments(state, names, biases) for state, names in pairs]
    return converted


def _mapping_biases(names: Iterable[str]) -> set[str]:
    """Return the names of the biases in StyleGAN2's mappings, also in derived classes.

    A mapping is StyleGAN2's if there are modulated convolutions, or a head's linear layer, beside it; StyleGAN has
    neither.
    """
    known = set(names)
    found = {name: match[1] for name in known if (match := MAPPING_BIAS.fullmatch(name))}
    owners = {owner for owner in found.values() if _is_stylegan2(owner, known)}
    return {name for name, owner in found.items() if owner in owners}


def _is_stylegan2(owner: str, names: set[str]) -> bool:
    modulated = f"{owner}synthesis.layers.0.convolution.affine.weight" in names
    return modulated or (owner.endswith("head.") and any(name.startswith(f"{owner}linear.") for name in names))


def _scale_moments(state: dict[str, Any], names: Sequence[str], biases: set[str]) -> dict[str, Any]:
    """Convert the state of an optimiser; its entries have the order of `names`."""
    chosen = {index for index, name in enumerate(names) if name in biases and index in state["state"]}
    return {**state, "state": {**state["state"], **{index: _scaled(state["state"][index]) for index in chosen}}}


def _scaled(moments: dict[str, Any]) -> dict[str, Any]:
    # RMSprop's momentum is of the gradient divided by its root mean square, which a factor does not change.
    powers = {name: 0 if name == "momentum_buffer" and "square_avg" in moments else MOMENTS[name] for name in MOMENTS}
    return {n: v * GAIN ** powers[n] if n in powers and isinstance(v, Tensor) else v for n, v in moments.items()}


CONVERSIONS: tuple[Callable[[Checkpoint, Names | None], Checkpoint], ...] = (_scale_mapping_biases,)
FORMAT = len(CONVERSIONS) + 1
