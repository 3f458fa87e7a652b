"""What a checkpoint of ours holds beside Lightning's own state, and what it refuses to take up."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from gan_lightning.errors import UserError

FORMAT = 1


class Stateful:
    """Mixin of LightningModules: writes and reads the "gan_lightning" entry of a checkpoint.

    config: the run's resolved configuration as plain containers, None without the command line.
    protocol: how the scores were measured.
    """

    config: dict[str, Any] | None = None
    protocol: str | None = None

    def network_description(self) -> dict[str, Any]:
        """Return what another process needs to build the generator and to know what it makes."""
        datamodule = getattr(self._trainer, "datamodule", None) if self._trainer is not None else None
        return {
            "format": FORMAT,
            "iteration": self.iteration,
            "images_seen": self.images_seen,
            "config": self.config,
            "scores": dict(self.scores),
            "best": dict(self.best),
            "networks": {"generator": describe(self.generator), "discriminator": describe(self.discriminator)},
            "data": {"name": getattr(datamodule, "name", None), "class_names": getattr(datamodule, "class_names", None)},
            "protocol": self.protocol,
        }

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the description to the checkpoint."""
        checkpoint["gan_lightning"] = self.network_description()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the counters; raise UserError where the networks are not those of the checkpoint."""
        entry = checkpoint.get("gan_lightning")
        if entry is None:
            raise UserError("This is no checkpoint of gan-lightning: it lacks the entry 'gan_lightning'.")
        self._refuse_other_networks(checkpoint["state_dict"])
        self.iteration, self.images_seen = entry["iteration"], entry["images_seen"]
        self.scores, self.best = dict(entry["scores"]), dict(entry["best"])

    def _refuse_other_networks(self, saved: dict[str, Any]) -> None:
        mine = self.state_dict()
        differing = sorted(saved.keys() ^ mine.keys())
        differing += [k for k in sorted(saved.keys() & mine.keys()) if saved[k].shape != mine[k].shape]
        if differing:
            shown = ", ".join(differing[:4]) + (f" and {len(differing) - 4} more" if len(differing) > 4 else "")
            raise UserError(
                f"The checkpoint's networks differ from the configured ones in {shown}: "
                "configure the model as it was trained, or start a new run."
            )


def describe(network: Any) -> Any:
    """Return how to build `network` as plain containers with `_target_`, or None where that is not known."""
    if isinstance(network, nn.Module):
        arguments = getattr(network, "arguments", None)
        if arguments is None:
            return None
        plain = {name: describe(value) for name, value in arguments.items()}
        return None if any(plain[n] is None and arguments[n] is not None for n in plain) else plain
    if isinstance(network, partial):
        return {"_target_": _name(network.func), "_partial_": True, **{k: describe(v) for k, v in network.keywords.items()}}
    if isinstance(network, type):
        return {"_target_": _name(network), "_partial_": True}
    if isinstance(network, list | tuple):
        return [describe(value) for value in network]
    if isinstance(network, dict):
        return {str(name): describe(value) for name, value in network.items()}
    return network if isinstance(network, str | int | float | bool) else None


def _name(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"
