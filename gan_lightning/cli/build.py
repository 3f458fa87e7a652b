"""Builds objects from a composed configuration: data, module, evaluator, callbacks, loggers, trainer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn
from torch.optim import Optimizer

from gan_lightning.callbacks import Limit
from gan_lightning.cli.app import first_process, overrides
from gan_lightning.cli.objects import build, located
from gan_lightning.cli.values import parameters_of
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluation_callback import EvaluationCallback, Published
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.selection import Selection, node_of
from gan_lightning.metrics.automatic import available
from gan_lightning.modules.game import Game
from gan_lightning.streams import key
from gan_lightning.training.distributed import ReplicaStrategy

AUTO = "gan_lightning.metrics.automatic.automatic"
OPTIMIZER = "_optimizer"
GROUPS = {  # arguments of a game -> their groups
    "loss": "loss",
    "generator_loss": "generator_loss",
    "regularizers": "regularizer",
    "augment": "augment",
    "latent_optimization": "latents",
    "schedule": "schedule",
}
ALWAYS_CHOSEN = ("loss", "generator_loss")  # groups without an option "none"
NONE = {"regularizer": "[]", "latents": "drawn", "schedule": "constant"}


def data(config: DictConfig) -> L.LightningDataModule:
    """Return the data module."""
    return build(config.data)


def module(config: DictConfig) -> Game:
    """Return the game, built from the groups that its constructor takes; weights are drawn from the seed.

    Raises UserError for a chosen group that the game does not take.
    """
    taken = parameters_of(located("model", config.model._target_))
    offered: dict[str, Callable[[], Any]] = {
        "loss": lambda: build(config.loss),
        "generator_loss": lambda: build(config.generator_loss),
        "regularizers": lambda: {name: build(node) for name, node in config.regularizer.items()},
        "augment": lambda: build(config.get("augment")),
        "latent_optimization": lambda: build(config.get("latents")),
        "schedule": lambda: build(config.get("schedule")),
        "clip_norm": lambda: config.optim.clip_norm,
        "seed": lambda: config.seed,
        "log_every": lambda: config.log_every,
        **{
            name: partial(optimizer, config, name.removesuffix(OPTIMIZER)) for name in taken if name.endswith(OPTIMIZER)
        },
    }
    _check_taken(config, taken, offered)
    torch.manual_seed(key(config.seed, "weights"))
    game = build(config.model, **{name: make() for name, make in offered.items() if name in taken})
    game.max_kimg = config.max_kimg
    game.task = build(config.get("task"))
    game.config = plain(config)
    _record_arguments(game)
    return game


def _check_taken(config: DictConfig, taken: Collection[str], offered: dict[str, Callable[[], Any]]) -> None:
    """Refuse a chosen group that the game would ignore."""
    chosen = {word.lstrip("+~").partition("=")[0].partition("@")[0].partition(".")[0] for word in overrides()}
    for name, group in GROUPS.items():
        if name in taken or (group not in chosen and (group in ALWAYS_CHOSEN or not offered[name]())):
            continue
        way = f"leave {group} out" if group in ALWAYS_CHOSEN else f"use {group}={NONE.get(group, 'none')}"
        raise UserError(
            f"{group} has no effect on {config.model._target_.rpartition('.')[2]}, which takes none: {way}, or choose "
            "another model."
        )


def _record_arguments(game: Game) -> None:
    """Record the arguments of a user's networks without our base class too, for checkpoints."""
    for name, network in game.named_children():
        node = game.config["model"].get(name) if game.config else None
        if isinstance(node, dict) and not hasattr(network, "arguments"):
            vars(network)["arguments"] = {key: value for key, value in node.items() if key != "_convert_"}


def optimizer(config: DictConfig, player: str) -> Callable[[list[nn.Parameter]], Optimizer]:
    """Return a player's optimiser factory. It is called once here, since torch checks the arguments only then.

    A player that is not named in `optim` gets one like the generator's.
    """
    factory = build(config.optim.get(player) or config.optim.generator)
    if "betas" in getattr(factory, "keywords", {}):  # [0, 0.9] is common in YAML, and torch takes only floats
        factory.keywords["betas"] = tuple(map(float, factory.keywords["betas"]))
    try:
        factory([nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, IndexError, RuntimeError) as error:
        raise UserError(f"optim.{player} cannot be built: {str(error).rstrip('.')}.") from error
    return factory


def settle_extractor(config: DictConfig) -> None:
    """Put the extractor that is available in the place of extractor=auto, so that a run keeps it to its end.

    The user's process may download; it precedes those that Lightning starts, which look only at what is there.
    """
    if _unsettled(config) and Selection(_metrics(config), None).uses_extractor:
        with open_dict(config):
            config.extractor = node_of("extractor", available(download=first_process()))


def _unsettled(config: DictConfig) -> bool:
    return (config.get("extractor") or {}).get("_target_") == AUTO


def evaluator(config: DictConfig, datamodule: L.LightningDataModule) -> Evaluator | None:
    """Return the evaluator, None without metrics."""
    if not config.metrics:
        return None
    options = {k: config.evaluation[k] for k in ("num_fakes", "split", "batch_size", "seed", "raw")}
    extractor = None if _unsettled(config) else build(config.extractor)  # unsettled where no metric needs one
    return Evaluator(_metrics(config), datamodule, extractor, **options)


def _metrics(config: DictConfig) -> dict[str, Any]:
    return {name: build(node) for name, node in config.metrics.items()}


def callbacks(config: DictConfig, measure: Evaluator | None) -> list[L.Callback]:
    """Return the callbacks; the evaluation is before callbacks that use its scores."""
    chosen = [build(node) for node in config.callbacks.values()]
    if config.max_kimg is not None and "limit" not in config.callbacks:
        chosen.append(Limit(config.max_kimg))  # the limit applies even if it is not in the list of callbacks
    if measure is None:
        return chosen
    when = {k: config.evaluation[k] for k in ("every_epochs", "every_kimg")}
    published = [Published(config.published)] if config.get("published") else []
    return [EvaluationCallback(measure, **when), *published, *chosen]


def loggers(config: DictConfig) -> list[Any]:
    """Return the loggers."""
    return [build(node) for node in config.logger.values()]


def trainer(config: DictConfig, callbacks: list[L.Callback], loggers: list[Any]) -> L.Trainer:
    """Return Lightning's Trainer, with our strategy if there are several processes."""
    options = {name: value for name, value in config.trainer.items() if name != "max_epochs"}
    several = processes(config.trainer) > 1
    if options["strategy"] == "ddp" or (options["strategy"] == "auto" and several):
        options["strategy"] = ReplicaStrategy()
    elif OmegaConf.is_dict(options["strategy"]):
        options["strategy"] = build(options["strategy"])
    for name in ("devices", "plugins"):
        if OmegaConf.is_config(options[name]):
            options[name] = OmegaConf.to_container(options[name])
    del options["_target_"]
    # Without one of ours Lightning would add its own, which counts optimiser steps.
    options["enable_progress_bar"] = any(isinstance(c, L.pytorch.callbacks.ProgressBar) for c in callbacks)
    options["enable_checkpointing"] = any(isinstance(c, L.pytorch.callbacks.Checkpoint) for c in callbacks)
    try:
        return L.Trainer(**options, max_epochs=epochs(config), callbacks=callbacks, logger=loggers)
    except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
        raise UserError(f"Lightning's Trainer cannot be built as asked: {' '.join(str(error).split())}") from error


def epochs(config: DictConfig) -> int:
    """Return the limit in epochs: as given, else none if max_kimg is given, else 60."""
    if config.trainer.max_epochs is not None:
        return config.trainer.max_epochs
    return -1 if config.max_kimg is not None else 60


def processes(trainer: DictConfig) -> int:
    """Return the number of processes that the trainer will start, on all machines."""
    devices = trainer.devices
    if OmegaConf.is_list(devices):
        number = len(devices)
    elif isinstance(devices, str):  # "auto", "-1", "0,1"
        on_gpu = trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        everything = torch.cuda.device_count() if on_gpu else 1
        number = everything if devices in ("auto", "-1") else len(devices.split(","))
    else:
        number = torch.cuda.device_count() if devices == -1 else devices
    return number * trainer.num_nodes


def plain(config: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain containers."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]
