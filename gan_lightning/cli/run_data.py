"""What a run does with its data before training: it keeps the order of its classes, and fills its batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, open_dict

from gan_lightning.cli.app import first_process, overrides
from gan_lightning.cli.build import plain, processes
from gan_lightning.cli.values import parameters_of
from gan_lightning.errors import UserError
from gan_lightning.modules.game import Game

KEY = "data.batch_size"


def keep_class_order(data: Any, checkpoint: Path | str | None) -> None:
    """Number the classes as in the checkpoint or generator that training starts from, if they are the same classes."""
    from gan_lightning.inference.read import read_class_names

    if checkpoint is None or not getattr(data, "num_classes", None) or not hasattr(data, "follow_classes"):
        return
    if names := read_class_names(checkpoint):
        data.follow_classes(names)


def fall_to_images(config: DictConfig, data: Any, module: Game) -> None:
    """Lower the default batch of all three to the largest that the images fill and the game can divide; print it.

    The data must be prepared. A batch that the user or an experiment set is left as it is, and is refused later where
    it is too large. The module's configuration has the batch really used, with which a resumed run goes on.
    """
    if config.resume is not None or not _is_default(config, type(data)):
        return
    images = max(map(len, data.sources("train").values()))
    if images >= data.batch_size:
        return
    world = processes(config.trainer)
    size = next((size for size in range(images // world * world, 0, -world) if _fits(data, module, size, world)), None)
    if size is None:
        return
    if first_process():
        print(f"{KEY}={size} instead of {config.data.batch_size}, which {images:,} images do not fill.", flush=True)
    with open_dict(config):
        config.data.batch_size = data.batch_size = size
    module.config = plain(config)


def _is_default(config: DictConfig, kind: Callable[..., Any]) -> bool:
    """Return whether the batch is that of our own data set, and nobody typed it."""
    if any(word.lstrip("+").startswith(f"{KEY}=") for word in overrides()):
        return False
    default = parameters_of(kind)["batch_size"].default if "batch_size" in parameters_of(kind) else None
    return kind.__module__.startswith("gan_lightning.") and config.data.batch_size == default


def _fits(data: Any, module: Game, size: int, world: int) -> bool:
    before, data.batch_size = data.batch_size, size
    try:
        module.check(data, world)
    except UserError:
        return False
    finally:
        data.batch_size = before
    return True
