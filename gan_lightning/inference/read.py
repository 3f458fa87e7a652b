"""Reads a file's description and tensors as plain data; nothing is built or executed here."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_lightning.errors import UserError, suggest
from gan_lightning.inference.former import check_format, upgrade

CANDIDATES = ("checkpoints/best.ckpt", "checkpoints/last.ckpt", "best.ckpt", "last.ckpt", "generator.safetensors")
GENERATOR = "generator"  # the default network
Tensors = dict[str, Tensor]


class Stored(NamedTuple):
    """The description and tensors of a network in a file, where it is called `name`.

    network: `{"_target_": name of its class, **arguments}`, or None if not recorded.
    """

    path: Path
    network: dict[str, Any] | None
    tensors: Tensors
    description: dict[str, Any]
    name: str = GENERATOR

    @property
    def target(self) -> str | None:
        """Return the dotted name of the network's class, None if it is not recorded."""
        target = self.network.get("_target_") if isinstance(self.network, dict) else None
        return target if isinstance(target, str) else None


def locate(path: Path | str) -> Path:
    """Return `path` itself, or in a run's folder the first existing file of CANDIDATES."""
    path = Path(path).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"There is no checkpoint at {path}: give a .ckpt file, a generator.safetensors, or a run's folder."
        )
    for name in CANDIDATES:
        if (path / name).is_file():
            return path / name
    raise UserError(f"The folder {path} holds no generator: looked for {', '.join(CANDIDATES)}.")


def read(path: Path | str, raw: bool = False, network: str = GENERATOR) -> Stored:
    """Read a checkpoint, a run's folder or an exported generator; raise UserError for anything else.

    raw: the trained weights, not their moving average. network: name of the checkpoint's network.
    """
    path = locate(path)
    if path.suffix != ".safetensors":
        return _stored(path, _checkpoint(path), raw, network)
    if network != GENERATOR:
        raise UserError(f"{path} holds one network only: leave network={network} out, or give the run's .ckpt file.")
    return _read_safetensors(path, raw)


def read_state(path: Path) -> dict[str, Any]:
    """Read a checkpoint's whole training state; raise UserError for a file whose first network `read` would refuse.

    The optimisers' states are left out if the checkpoint has a former format (see `upgrade`).
    """
    checkpoint = _checkpoint(path)
    _stored(path, checkpoint, False, next(iter(_networks(checkpoint)), GENERATOR))
    return checkpoint


def read_class_names(path: Path | str) -> list[str] | None:
    """Return the names of the classes in a checkpoint, a run's folder or an exported generator, in their order.

    None if there are none, or the file cannot be read; tensors are not read. Raises UserError if there is no file.
    """
    path = locate(path)
    try:
        if path.suffix == ".safetensors":
            entry = _read_json(path.with_suffix(".json"), beside=path)
        else:
            entry = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["gan_lightning"]
        return [str(name) for name in entry["data"]["class_names"]]
    except Exception:  # why is said when all of it is read
        return None


def read_weights(path: Path | str) -> Tensors:
    """Read the weights at `path` by NETWORK.PARAMETER: of all networks as trained, or of an exported generator."""
    path = locate(path)
    if path.suffix != ".safetensors":
        return read_state(path)["state_dict"]
    return {f"{GENERATOR}.{name}": tensor for name, tensor in read(path).tensors.items()}


def read_discriminator(path: Path, generator: str = GENERATOR) -> Stored:
    """Read the discriminator that judges `generator` in a checkpoint; raise UserError if none can be rebuilt."""
    if path.suffix == ".safetensors":
        raise UserError(f"{path} has no discriminator, which rejection and langevin_steps need: give the .ckpt file.")
    checkpoint = _checkpoint(path)
    description = checkpoint["gan_lightning"]
    judges = description["judges"] if _is_dict(description, "judges") else {GENERATOR: "discriminator"}
    name = str(judges.get(generator))
    tensors = _starting_with(f"{name}.", checkpoint["state_dict"])
    stored = Stored(path, _networks(checkpoint).get(name), tensors, description, name)
    if not tensors or stored.target is None:
        raise UserError(
            f"{path} has no discriminator that can be built again, and rejection and langevin_steps need one: leave "
            "them out."
        )
    return stored


def _upgraded(path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    # Tensors can claim more memory than the file has (stride 0), which copies would need; 4 allows shared weights.
    claimed = sum(value.nbytes for value in checkpoint["state_dict"].values() if isinstance(value, Tensor))
    if claimed > 4 * path.stat().st_size:
        raise UserError(f"{path} is corrupt: its tensors claim to be larger than the file.")
    return upgrade(checkpoint)


def _stored(path: Path, checkpoint: dict[str, Any], raw: bool, name: str) -> Stored:
    for prefix in (f"{name}.",) if raw else (f"{name}_ema.", f"{name}."):
        if tensors := _starting_with(prefix, checkpoint["state_dict"]):
            network = _networks(checkpoint).get(name)
            return Stored(path, network, tensors, checkpoint["gan_lightning"], name)
    others = [] if name in _networks(checkpoint) else [*_networks(checkpoint)]
    choose = f"; choose one of {suggest(name, others)} by network=NAME" if others else ""
    raise UserError(f"{path} has no {name}: no entry of its 'state_dict' begins with '{name}.'{choose}.")


def _networks(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the description of each network of a checkpoint, by name."""
    description = checkpoint["gan_lightning"]
    return description["networks"] if _is_dict(description, "networks") else {}


def _checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint in the present format; UserError for a foreign file."""
    checkpoint = torch_load(path)
    missing = [key for key in ("gan_lightning", "state_dict") if not _is_dict(checkpoint, key)]
    if missing:
        raise UserError(f"{path} is a torch file but no checkpoint of gan_lightning: it has no {missing[0]!r} entry.")
    check_format(checkpoint["gan_lightning"], path)
    return _upgraded(path, checkpoint)


def torch_load(path: Path) -> Any:
    """Return torch.load(path, weights_only=True), with failures as UserErrors."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if not foreign:
            raise _corrupt(path) from error
        raise UserError(
            f"{path} is refused: beside tensors and plain data it holds {foreign[1]}, and reading that could run "
            f"foreign code."
        ) from error
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # for damaged files torch raises RuntimeError, EOFError, KeyError, ...
        raise _corrupt(path) from error


def _corrupt(path: Path) -> UserError:
    return UserError(f"{path} cannot be read as a checkpoint: it is corrupt, cut off, or of another kind.")


def _starting_with(prefix: str, state: dict[str, Any]) -> Tensors:
    """Return the tensors whose names begin with `prefix`, without it; none if there is a value that is not a tensor."""
    tensors = {key.removeprefix(prefix): value for key, value in state.items() if str(key).startswith(prefix)}
    return tensors if all(isinstance(tensor, Tensor) for tensor in tensors.values()) else {}


def _read_safetensors(path: Path, raw: bool) -> Stored:
    if raw:
        raise UserError(f"{path} holds one set of weights only: for raw=true give the run's .ckpt file.")
    description = _read_json(path.with_suffix(".json"), beside=path)
    import safetensors.torch

    try:
        tensors = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} cannot be read as safetensors: it is corrupt or cut off ({error}).") from error
    content = _upgraded(path, {"gan_lightning": description, "state_dict": tensors})
    return Stored(path, description.get("network"), content["state_dict"], content["gan_lightning"])


def _read_json(path: Path, beside: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} is missing beside {beside.name}: it says how to build the network, copy it along.")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}.") from error
    check_format(description, path)
    return description


def _is_dict(container: Any, key: str) -> bool:
    return isinstance(container, dict) and isinstance(container.get(key), dict)
