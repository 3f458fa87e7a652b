"""Builds a network from a file's description without trusting the file: only known classes, sizes checked first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from gan_lightning.errors import UserError
from gan_lightning.inference.read import GENERATOR, Stored, Tensors, read_discriminator
from gan_lightning.networks.base import as_output
from gan_lightning.networks.layers.minibatch import MinibatchStddev
from gan_lightning.networks.layers.minibatch_discrimination import MinibatchDiscrimination
from gan_lightning.networks.registry import DISCRIMINATOR_PARTS, FORMER_PARTS, LOADABLE, Factory, resolve, trust


def build(stored: Stored, trusted: dict[str, Factory]) -> nn.Module:
    """Return the network that `stored` describes, with its weights.

    It is first built without memory (meta device) and compared with the file's tensors, since a description may ask for
    any size. Then it is built with memory; values outside the state dict (constants, plain attributes) come from the
    constructor.
    """
    if stored.target is None:
        raise UserError(
            f"{stored.path} does not say how its {stored.name} is built: derive the class from "
            f"gan_lightning.networks.base.Generator before training, or build it yourself and pass network=."
        )
    with _at_most(8 * len(stored.tensors) + 1000, stored), torch.device("meta"):
        outline = _outline(stored, trusted)
    if outline is not None:
        compare(stored, outline.state_dict())
    with torch.random.fork_rng(devices=[]):
        return fill(stored, _construct_named(stored, trusted))


def fill(stored: Stored, network: nn.Module) -> nn.Module:
    """Load the file's tensors into `network`; raise UserError with the keys that do not fit."""
    compare(stored, network.state_dict())
    network.load_state_dict(stored.tensors)
    return network.eval().requires_grad_(False)


def compare(stored: Stored, expected: Tensors) -> None:
    """Raise UserError unless the file's tensors have the names and shapes of `expected`."""
    shapes = {key: tuple(value.shape) for key, value in expected.items() if isinstance(value, torch.Tensor)}
    found = {key: tuple(tensor.shape) for key, tensor in stored.tensors.items()}
    wrong = [f"{k} is {found[k]} instead of {shapes[k]}" for k in shapes if k in found and found[k] != shapes[k]]
    problems = {
        "missing": [key for key in shapes if key not in found],
        "unexpected": [key for key in found if key not in shapes],
        "of another shape": wrong,
    }
    told = "; ".join(f"{name}: {_few(keys)}" for name, keys in problems.items() if keys)
    if told:
        raise UserError(f"The tensors in {stored.path} do not fit the network it describes ({told}).")


def _few(keys: list[str], most: int = 3) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")


def _outline(stored: Stored, trusted: dict[str, Factory]) -> nn.Module | None:
    """Return the network on the meta device; None for a user's class that cannot be built there."""
    try:
        return _construct_named(stored, trusted)
    except UserError as error:
        if stored.target in (*LOADABLE, *DISCRIMINATOR_PARTS) or not isinstance(error.__cause__, RuntimeError):
            raise
        return None


def _construct_named(stored: Stored, trusted: dict[str, Factory]) -> nn.Module:
    try:
        network = _construct(stored.network, trusted)
    except UserError:
        raise
    except Exception as error:  # the arguments are untrusted: a constructor may raise anything
        reason = str(error).partition("\n")[0]
        raise UserError(f"The network that {stored.path} describes cannot be built: {reason}.") from error
    if not isinstance(network, nn.Module):
        raise UserError(f"{stored.target} in {stored.path} is not a torch.nn.Module.")
    return network


def _construct(node: Any, trusted: dict[str, Factory]) -> Any:
    """Build the `_target_`s in nested containers, each checked against the allow-list; other values are not changed."""
    if isinstance(node, list):
        return [_construct(item, trusted) for item in node]
    if not isinstance(node, dict):
        return node
    arguments = {key: _construct(value, trusted) for key, value in node.items() if key not in ("_target_", "_partial_")}
    if "_target_" not in node:
        return arguments
    factory = resolve(node["_target_"], trusted)
    return partial(factory, **arguments) if node.get("_partial_") else factory(**arguments)


@contextmanager
def _at_most(limit: int, stored: Stored) -> Iterator[None]:
    """Stop a constructor that builds many more layers than the file has tensors (depth: 10**9)."""
    count = 0

    def registered(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise UserError(f"{stored.path} describes a network with far more layers than it has tensors.")

    hook = register_module_parameter_registration_hook(registered)
    try:
        yield
    finally:
        hook.remove()


def load_discriminator(path: Path, trusted: dict[str, Factory], generator: str = GENERATOR) -> nn.Module:
    """Return the discriminator that judges `generator` in the checkpoint at `path`, in evaluation mode.

    As for generators, the file can name only our classes and those in `trusted`. Raises UserError if there is none, or
    if the logit of a sample depends on other samples.
    """
    discriminator = build_discriminator(path, trusted, generator)
    neighbours = any(isinstance(part, MinibatchStddev | MinibatchDiscrimination) for part in discriminator.modules())
    if neighbours or getattr(discriminator, "pack", 1) > 1:
        raise UserError(
            f"The discriminator in {path} judges several samples together, and rejection and langevin_steps need the "
            "logit of each: leave them out."
        )
    return discriminator


def build_discriminator(path: Path, trusted: dict[str, Factory], generator: str = GENERATOR) -> nn.Module:
    """Return the discriminator that judges `generator` in the checkpoint at `path`, of any kind, in evaluation mode."""
    return build(read_discriminator(path, generator), {**trust(DISCRIMINATOR_PARTS + FORMER_PARTS), **trusted})


def logits(discriminator: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
    """Return float32 logits `(N,)` of images `(N, *image_shape)`, averaged over patches."""
    answer = as_output(discriminator(images) if labels is None else discriminator(images, labels)).logits
    return answer.float().reshape(len(images), -1).mean(1)


def check_finite(values: Tensor) -> Tensor:
    """Return `values`; raise UserError if they are not finite."""
    if not torch.isfinite(values).all():
        raise UserError("The discriminator's logits are not finite, so it cannot judge samples: leave rejection out.")
    return values
