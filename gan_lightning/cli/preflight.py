"""Checks of a composed configuration that need no training: every mistake is found before anything starts."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from gan_lightning.errors import UserError, suggest

OURS = {
    "max_steps": (-1, "max_kimg or max_epochs, which count images and not optimiser steps"),
    "min_steps": (None, "max_kimg or max_epochs"),
    "gradient_clip_val": (None, "optim.clip_norm"),
    "gradient_clip_algorithm": (None, "optim.clip_norm"),
    "accumulate_grad_batches": (1, "model.accumulate"),
}
HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def check(config: DictConfig) -> None:
    """Raise UserError for the first thing in `config` that cannot work."""
    check_trainer_flags(config.trainer)
    check_lengths(config)
    check_conditioning(config)
    check_batch_norm(config)
    check_devices(config.trainer)
    check_sweep(config.trainer)
    for path, node in targets(OmegaConf.to_container(config, resolve=True)):
        check_arguments(path, node)
    check_writable(config.run_dir)


def check_trainer_flags(trainer: DictConfig) -> None:
    """Refuse Trainer flags that cannot work when players are stepped by hand."""
    for flag, (neutral, ours) in OURS.items():
        if trainer.get(flag) not in (neutral, None):
            raise UserError(
                f"trainer.{flag} has no effect on a GAN, whose players step one at a time: use {ours} instead."
            )


def check_lengths(config: DictConfig) -> None:
    """Refuse lengths and intervals that are not positive."""
    for key in ("max_epochs", "max_kimg", "log_every", "evaluation.num_fakes", "evaluation.batch_size"):
        value = OmegaConf.select(config, key)
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise UserError(f"{key}={value} is out of range: it is a number above 0.")


def check_conditioning(config: DictConfig) -> None:
    """Refuse labels where the data set has none."""
    if config.conditioning.needs_labels and not config.data.num_classes:
        name = config.data._target_.rpartition(".")[2]
        raise UserError(
            f"conditioning with labels (data.num_classes={config.data.num_classes}) cannot train on {name}, which is "
            "unlabelled here: use conditioning=none, or a labelled data set (a folder: data.labels=folders)."
        )


def check_batch_norm(config: DictConfig) -> None:
    """Refuse batch norm in a critic whose input gradients are penalised: it couples the samples of a batch."""
    norm = OmegaConf.select(config, "model.discriminator.backbone.norm")
    if norm != "batch":
        return
    for name, node in config.regularizer.items():
        if getattr(get_object(node._target_), "forbids_batch_norm", False):
            raise UserError(
                f"regularizer={name} takes each image's own gradient, which batch norm in the discriminator mixes with "
                "the others': set model.discriminator.backbone.norm=layer (or none), or drop the regulariser."
            )


def check_devices(trainer: DictConfig) -> None:
    """Refuse more devices than this machine has."""
    import torch

    wanted, kind = trainer.devices, str(trainer.accelerator)
    if kind in ("gpu", "cuda") and not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        raise UserError(f"trainer.accelerator={kind}, but this machine has no GPU: use trainer=cpu or trainer=auto.")
    on_gpu = kind in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    there = torch.cuda.device_count() if on_gpu else (os.cpu_count() or 1)
    number = len(wanted) if OmegaConf.is_list(wanted) else wanted
    if isinstance(number, int) and number > there:
        what = "GPUs" if on_gpu else "CPU cores"
        raise UserError(f"trainer.devices={number} is more than this machine has: {there} {what}.")
    if isinstance(number, int) and number == 0:
        raise UserError("trainer.devices=0 leaves nothing to train on: give at least 1.")


def check_sweep(trainer: DictConfig) -> None:
    """Refuse several processes for a job in the sweep's own process: each of them would run the whole sweep again."""
    from gan_lightning.cli.build import processes

    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN and processes(trainer) > 1:
        raise UserError(
            f"trainer.devices={trainer.devices} in a sweep needs a process of its own for every job: use "
            "hydra/launcher=processes."
        )


def targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, node) of every node with a `_target_`, outer ones first."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for name, child in node.items():
            yield from targets(child, f"{path}.{name}" if path else str(name))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from targets(child, f"{path}[{index}]")


def check_arguments(path: str, node: dict[str, Any]) -> None:
    """Refuse a target that does not exist, and keys that its constructor does not take."""
    try:
        target = get_object(node["_target_"])
    except (ImportError, ValueError) as error:
        raise UserError(f"{path}._target_={node['_target_']} cannot be imported: {_first_line(error)}") from error
    parameters = inspect.signature(target).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for key in node.keys() - HYDRA_KEYS - parameters.keys():
        raise UserError(f"{path} has no option {key!r}: {target.__name__} takes {suggest(key, parameters)}.")


def check_writable(folder: str) -> None:
    """Refuse a run folder that cannot be made or written."""
    try:
        os.makedirs(folder, exist_ok=True)
        probe = os.path.join(folder, ".probe")
        with open(probe, "w"):
            os.unlink(probe)
    except OSError as error:
        raise UserError(f"The run's folder {folder} cannot be written: {error.strerror}; set hydra.run.dir.") from error


def _first_line(error: Exception) -> str:
    return str(error.__cause__ or error).splitlines()[0]
