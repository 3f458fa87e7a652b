"""What a checkpoint of ours holds beside Lightning's own state, and what it refuses to take up."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from gan_lightning.errors import UserError
from gan_lightning.modules.loops import go_on_from

FORMAT = 1


class Stateful:
    """Mixin of LightningModules: writes and reads the "gan_lightning" entry of a checkpoint.

    config: the run's resolved configuration as plain containers, None without the command line.
    protocol: how the scores were measured.
    """

    config: dict[str, Any] | None = None
    protocol: str | None = None

    @property
    def batches_per_epoch(self) -> int | None:
        """Return how many iterations an epoch has, None outside a training."""
        batches = self._trainer.num_training_batches if self._trainer is not None else None
        return int(batches) if batches and batches != float("inf") else None

    def network_description(self) -> dict[str, Any]:
        """Return what another process needs to build the generator and to know what it makes."""
        datamodule = getattr(self._trainer, "datamodule", None) if self._trainer is not None else None
        return {
            "format": FORMAT,
            "iteration": self.iteration,
            "images_seen": self.images_seen,
            "batches_per_epoch": self.batches_per_epoch,
            "config": self.config,
            "scores": dict(self.scores),
            "best": dict(self.best),
            "networks": {"generator": describe(self.generator), "discriminator": describe(self.discriminator)},
            "data": {
                "name": getattr(datamodule, "name", None),
                "class_names": getattr(datamodule, "class_names", None),
            },
            "protocol": self.protocol,
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the description to the checkpoint."""
        checkpoint["gan_lightning"] = self.network_description()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the counters; raise UserError where the networks are not those of the checkpoint."""
        if "gan_lightning" not in checkpoint:
            raise UserError("This is no checkpoint of gan-lightning: it lacks the entry 'gan_lightning'.")
        changed = self.changes(checkpoint)
        if changed:
            raise UserError(f"The checkpoint was trained with another architecture: {changed} differ.")
        entry = checkpoint["gan_lightning"]
        self._take_up_counters(entry)
        go_on_from(checkpoint, entry["iteration"], entry["batches_per_epoch"])

    def changes(self, checkpoint: dict[str, Any]) -> str:
        """Return the names of configuration keys and tensors in which the checkpoint's networks differ, or ""."""
        saved, mine = checkpoint["state_dict"], self.state_dict()
        tensors = sorted(saved.keys() ^ mine.keys())
        tensors += [name for name in sorted(saved.keys() & mine.keys()) if saved[name].shape != mine[name].shape]
        if not tensors:
            return ""
        before, now = (
            (config or {}).get("model", {}) for config in (checkpoint["gan_lightning"]["config"], self.config)
        )
        keys = sorted(name for name, value in leaves(before, "model") ^ leaves(now, "model"))
        more = f" and {len(tensors) - 3} more" if len(tensors) > 3 else ""
        return ", ".join([*dict.fromkeys(keys), *tensors[:3]]) + more

    def take_over(self, checkpoint: dict[str, Any]) -> None:
        """Load the tensors that fit, and the counters."""
        mine = self.state_dict()
        fitting = {n: t for n, t in checkpoint["state_dict"].items() if n in mine and mine[n].shape == t.shape}
        self.load_state_dict(fitting, strict=False)
        self._take_up_counters(checkpoint["gan_lightning"])

    def _take_up_counters(self, entry: dict[str, Any]) -> None:
        self.iteration, self.images_seen = entry["iteration"], entry["images_seen"]
        self.scores, self.best = dict(entry["scores"]), dict(entry["best"])


def leaves(node: Any, path: str) -> set[tuple[str, str]]:
    """Return (dotted path, value as text) of every leaf of nested dicts."""
    if not isinstance(node, dict):
        return {(path, repr(node))}
    return set().union(*[leaves(child, f"{path}.{name}") for name, child in node.items()])


def describe(network: Any) -> Any:
    """Return how to build `network` as plain containers with `_target_`, or None where that is not known."""
    if isinstance(network, nn.Module):
        arguments = getattr(network, "arguments", None)
        if arguments is None:
            return None
        plain = {name: describe(value) for name, value in arguments.items()}
        return None if any(plain[n] is None and arguments[n] is not None for n in plain) else plain
    if isinstance(network, partial):
        return {
            "_target_": _name(network.func),
            "_partial_": True,
            **{k: describe(v) for k, v in network.keywords.items()},
        }
    if isinstance(network, type):
        return {"_target_": _name(network), "_partial_": True}
    if isinstance(network, list | tuple):
        return [describe(value) for value in network]
    if isinstance(network, dict):
        return {str(name): describe(value) for name, value in network.items()}
    return network if isinstance(network, str | int | float | bool) else None


def _name(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"
