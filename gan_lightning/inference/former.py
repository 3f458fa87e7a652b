"""What former versions wrote, as this one would have written it: one conversion for each format of a checkpoint.

Whoever reads a checkpoint or an exported generator calls `upgrade`, and all else knows the present format alone.
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
    """Raise UserError unless `description`, read from `source`, has the number of a format that this version knows."""
    version = description.get("format") if isinstance(description, dict) else None
    if not isinstance(version, int) or version < 1:
        raise UserError(f"{source} was not written by gan_lightning: it has no 'format' number.")
    if version > FORMAT:
        raise UserError(f"{source} has format {version}, this gan_lightning reads up to {FORMAT}: install a newer one.")


def upgrade(checkpoint: Checkpoint, parameters: Names | None = None) -> Checkpoint:
    """Return `checkpoint` in the present format; its own containers and tensors stay as they are.

    checkpoint: its entries "gan_lightning" (the description, with the format), "state_dict" and, where a training is
        to go on, "optimizer_states".
    parameters: for each optimiser in turn the names of its parameters in the state dict, in the optimiser's order.
        Where None, the optimisers' states cannot be converted, and those of a former format are left out.
    Raises UserError for an unknown format.
    """
    check_format(checkpoint["gan_lightning"])
    for convert in CONVERSIONS[checkpoint["gan_lightning"]["format"] - 1 :]:
        checkpoint = convert(checkpoint, parameters)
    return {**checkpoint, "gan_lightning": {**checkpoint["gan_lightning"], "format": FORMAT}}


# From 1 to 2: the gain sqrt 2 of StyleGAN2's mappings, once on their weights alone, came to be on their biases too ----

GAIN = math.sqrt(2)
MOMENTS = {  # the power of the gradient in what Adam, SGD and RMSprop keep of it
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
    """Return the names of the biases in StyleGAN2's mappings, also of classes derived from its own.

    A mapping is StyleGAN2's beside modulated convolutions, or beside a head's linear layer; StyleGAN has neither.
    """
    known = set(names)
    found = {name: match[1] for name in known if (match := MAPPING_BIAS.fullmatch(name))}
    owners = {owner for owner in found.values() if _is_stylegan2(owner, known)}
    return {name for name, owner in found.items() if owner in owners}


def _is_stylegan2(owner: str, names: set[str]) -> bool:
    modulated = f"{owner}synthesis.layers.0.convolution.affine.weight" in names
    return modulated or (owner.endswith("head.") and any(name.startswith(f"{owner}linear.") for name in names))


def _scale_moments(state: dict[str, Any], names: Sequence[str], biases: set[str]) -> dict[str, Any]:
    """Convert a state of an optimiser, whose entries are numbered as `names` are."""
    chosen = {index for index, name in enumerate(names) if name in biases and index in state["state"]}
    return {**state, "state": {**state["state"], **{index: _scaled(state["state"][index]) for index in chosen}}}


def _scaled(moments: dict[str, Any]) -> dict[str, Any]:
    # RMSprop's momentum is that of the gradient over its own root mean square, which no factor changes.
    powers = {name: 0 if name == "momentum_buffer" and "square_avg" in moments else MOMENTS[name] for name in MOMENTS}
    return {n: v * GAIN ** powers[n] if n in powers and isinstance(v, Tensor) else v for n, v in moments.items()}


CONVERSIONS: tuple[Callable[[Checkpoint, Names | None], Checkpoint], ...] = (_scale_mapping_biases,)
FORMAT = len(CONVERSIONS) + 1
