"""What our loggers share: knowing that a fit starts, and taking pictures."""

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
    """A logger that is told of the module when a fit starts, after a checkpoint was loaded into it.

    Lightning calls `log_graph(module)` of every logger at just that moment, and nothing else that knows the module.
    """

    _module: Game | None = None

    def log_graph(self, model: nn.Module, input_array: Tensor | None = None) -> None:
        """Call `start(model)` if a fit begins; evaluation and prediction leave the history alone."""
        module = cast("Game", model)
        trainer = module._trainer
        if trainer is not None and trainer.state.fn == "fit" and trainer.is_global_zero:
            self._module = module
            self.start(module)

    def start(self, module: Game) -> None:
        """Prepare for a fit that goes on from `module.images_seen`; only on global rank zero."""

    def protocol(self, metrics: Mapping[str, object]) -> str | None:
        """Return how the scores among `metrics` were measured; None where there are none."""
        return getattr(self._module, "protocol", None) if any(map(kind, metrics)) else None


def log_image(loggers: Iterable[Logger], name: str, image: Image.Image, images_seen: int) -> None:
    """Send `image` to those of `loggers` that take pictures (with a `log_image(name, [image], step)`)."""
    for logger in loggers:
        if hasattr(logger, "log_image"):
            logger.log_image(name, [image], step=images_seen)
