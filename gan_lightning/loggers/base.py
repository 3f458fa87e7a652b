"""Shared code of the loggers: a hook for the start of a fit, and logging of pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from lightning.pytorch.loggers import Logger
from PIL import Image
from torch import Tensor, nn

from gan_lightning.scores import kind

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class StartsWithModule(Logger):
    """A logger whose `start(module)` is called when a fit starts, after a checkpoint was loaded into the module.

    Lightning calls `log_graph(module)` of every logger at this time; there is no other hook with the module.
    """

    _module: Game | None = None

    def log_graph(self, model: nn.Module, input_array: Tensor | None = None) -> None:
        """Call `start(model)` if a fit starts; evaluation and prediction do not change the history."""
        module = cast("Game", model)
        trainer = module._trainer
        if trainer is not None and trainer.state.fn == "fit" and trainer.is_global_zero:
            self._module = module
            self.start(module)

    def start(self, module: Game) -> None:
        """Prepare for a fit that continues at `module.images_seen`; called only on global rank zero."""

    def protocol(self, metrics: Mapping[str, object]) -> str | None:
        """Return the protocol of the scores in `metrics`; None if there are no scores."""
        return getattr(self._module, "protocol", None) if any(map(kind, metrics)) else None


def log_image(loggers: Iterable[Logger], name: str, image: Image.Image, images_seen: int) -> None:
    """Send `image` to all `loggers` that have a method `log_image(name, [image], step)`."""
    for logger in loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(name, [image], step=images_seen)
