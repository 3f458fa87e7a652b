"""What a checkpoint says about its own training: data, metrics, extractor, protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from gan_lightning.cli.objects import build
from gan_lightning.errors import UserError

if TYPE_CHECKING:
    from gan_lightning.inference.load import LoadedGenerator


class Saved:
    """The configuration inside a checkpoint: it is data, so only classes that our own groups name are built from it."""

    def __init__(self, loaded: LoadedGenerator, trusted: list[str]) -> None:
        self.path, self.config, self.trusted = loaded.path, loaded.config or {}, trusted

    @property
    def averaged(self) -> bool:
        """Whether training kept a moving average of the weights; taken for granted where the file does not say."""
        return bool(self.config.get("model", {}).get("ema_kimg", True))

    def part(self, group: str) -> dict[str, Any] | None:
        """Return a node of the configuration; UserError if it names a class that is not one of ours."""
        node = self.config.get(group)
        allowed = _named(group) | set(self.trusted)
        for name in sorted(_targets(node) - allowed):
            raise UserError(
                f"{self.path} asks for {name}, which is not one of gan_lightning's: if you trust it, add "
                f"trusted=[{name}], or choose {group}=... yourself."
            )
        return node

    def data(self) -> Any:
        """Return the data set of the training."""
        node = self.part("data")
        if node is None:
            raise UserError(f"{self.path} does not say what it was trained on: choose the data set by data=...")
        return build(node)


def _named(group: str) -> set[str]:
    """Return every class that the shipped files of a group name."""
    from importlib.resources import files

    folder = files("gan_lightning.conf") / group
    if not folder.is_dir():
        return set()
    nodes = [OmegaConf.create(file.read_text()) for file in folder.iterdir() if file.name.endswith(".yaml")]
    return set().union(*[_targets(OmegaConf.to_container(node)) for node in nodes])


def _targets(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*map(_targets, node.values()))
    return set().union(*map(_targets, node)) if isinstance(node, list) else set()
