"""Checks of a composed configuration, before anything starts."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gan_lightning.cli.known import check_known
from gan_lightning.cli.objects import located
from gan_lightning.cli.values import check_numbers, check_optimizer, check_values, parameters_of
from gan_lightning.data.folder_classes import folder_class_names
from gan_lightning.errors import UserError, nearest_first
from gan_lightning.training.options import check_trainer_flags

# Keys of the run: kind and least value. Arguments of a node with a _target_ are checked against its annotations.
NUMBERS = {
    "seed": (int, -math.inf),
    "max_epochs": (int, 1),
    "trainer.max_epochs": (int, 1),
    "trainer.num_nodes": (int, 1),
    "data.batch_size": (int, 1),
    "max_kimg": (float, 0),
    "log_every": (int, 1),
    "optim.clip_norm": (float, 0),
    "evaluation.num_fakes": (int, 2),
    "evaluation.batch_size": (int, 1),
    "evaluation.every_epochs": (int, 1),
    "evaluation.every_kimg": (float, 0),
    "evaluation.seed": (int, -math.inf),
    "evaluation.raw": (bool, 0),
    "strict": (bool, 0),
    "model.ema_kimg": (float, 0),
    "model.ema_rampup": (float, 0),
    "extractor.epochs": (int, 1),
    "metrics.is.splits": (int, 1),
    "metrics.modes.radius": (float, 0),
}
NEVER_NULL = ("seed", "log_every", "evaluation.batch_size", "evaluation.seed", "evaluation.raw", "strict")
HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def check(config: DictConfig) -> None:
    """Raise UserError for the first mistake in `config`."""
    check_trainer_flags(config.trainer)
    check_strategy(config.trainer)
    if config.resume is None:  # a run's keys were checked at its start, and its file may have them resolved
        check_known(config)
    check_labels_file(config.data)
    check_points(config)  # first: points have no size, which is checked with the values
    check_numbers(config, NUMBERS, NEVER_NULL)
    for path, node in targets(OmegaConf.to_container(config, resolve=True)):
        check_values(config, path, node, check_arguments(path, node))
    for player in dict.fromkeys(("generator", "discriminator", *(n for n, v in config.optim.items() if _is_object(v)))):
        check_optimizer(config, player)
    check_labels(config)
    check_injection(config)
    check_devices(config.trainer)
    check_sweep(config.trainer)
    check_writable(config.run_dir)


def check_points(config: DictConfig) -> None:
    """Refuse networks for images on data of 2-D points, and the reverse."""
    generator = config.model.get("generator") or {}
    points, name = _makes_points(config), _data(config)
    if points and "image_size" in generator:
        raise UserError(f"The model makes images, but data {name} holds points in the plane: use model=mlp2d.")
    if not points and str(generator.get("_target_", "")).endswith(".MLP2dGenerator"):
        raise UserError(f"model=mlp2d makes points in the plane, but data {name} holds images: use model=dcgan, say.")


def check_labels(config: DictConfig) -> None:
    """Refuse options that need labels if the data set has none."""
    conditioning, classes = config.conditioning, config.data.num_classes
    if conditioning.get("needs_labels") and not classes:
        check_classes_are_there(config.data)
        raise UserError(
            f"conditioning with labels (data.num_classes={classes}) cannot train on {_data(config)}, which is "
            "unlabelled here: use conditioning=none, or a labelled data set (a folder: data.labels=folders)."
        )


def check_classes_are_there(data: DictConfig) -> None:
    """Refuse a folder or archive that is not there, where its classes are to be counted."""
    root = data.get("root")
    if data.get("labels") and root and not os.path.exists(os.path.expanduser(root)):
        raise UserError(
            f"data.root={root} is not there, so that its classes (data.labels={data.labels}) cannot be counted: give "
            "the path of a folder of images, or of a zip or tar."
        )


def check_labels_file(data: DictConfig) -> None:
    """Refuse a file of labels that cannot be read: here the reason is not yet wrapped in an interpolation's."""
    if data._target_ == "gan_lightning.data.Folder" and data.root:
        folder_class_names(str(data.root), str(data.get("labels")), data.get("holdout"))


def check_injection(config: DictConfig) -> None:
    """Refuse conditional batch norm for one of our networks without it, which takes classes in its own way."""
    target = OmegaConf.select(config, "model.generator._target_")
    if config.conditioning.get("generator_injection") != "batch_norm" or not str(target).startswith("gan_lightning."):
        return
    network = located("model.generator", target)
    if "conditioning" not in parameters_of(network) and not getattr(network, "conditional_batch_norm", False):
        raise UserError(
            f"conditioning.generator_injection=batch_norm sets a generator's batch norm by class, which "
            f"{network.__name__} does not offer: use conditioning=projection or concat, or model=sngan."
        )


def _makes_points(config: DictConfig) -> bool:
    return hasattr(located("data", config.data._target_), "modes")


def _data(config: DictConfig) -> str:
    return config.data._target_.rpartition(".")[2]


def check_strategy(trainer: DictConfig) -> None:
    """Refuse Lightning's strategies, which expect one loss for all parameters; ddp is ours."""
    strategy = trainer.strategy
    if isinstance(strategy, str) and strategy not in ("auto", "ddp"):
        raise UserError(
            f"trainer.strategy={strategy} cannot train a GAN, whose players step one at a time: use auto or ddp."
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
    if isinstance(number, int) and (number == 0 or (number < 0 and not on_gpu)):
        raise UserError(f"trainer.devices={number} is not possible: give a number of at least 1.")


def check_sweep(trainer: DictConfig) -> None:
    """Refuse several processes for a job in the sweep's process, since each would run the whole sweep again."""
    from gan_lightning.cli.build import processes

    if HydraConfig.initialized() and HydraConfig.get().mode is RunMode.MULTIRUN and processes(trainer) > 1:
        raise UserError(
            f"trainer.devices={trainer.devices} in a sweep needs a process of its own for every job: use "
            "hydra/launcher=processes."
        )


def _is_object(node: Any) -> bool:
    return OmegaConf.is_dict(node) and "_target_" in node


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


def check_arguments(path: str, node: dict[str, Any]) -> Callable[..., Any]:
    """Return the target; UserError if it does not exist or does not take the keys."""
    target = located(path, node["_target_"])
    parameters = parameters_of(target)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return target
    for key in sorted(node.keys() - HYDRA_KEYS - parameters.keys()):
        near = ", ".join(nearest_first(key, parameters)[:6]) or "none"
        raise UserError(f"{path} has no option {key}: {target.__name__} takes {near}{', ...' * (len(parameters) > 6)}.")
    return target


def check_writable(folder: str) -> None:
    """Refuse a run folder that cannot be created or written."""
    try:
        os.makedirs(folder, exist_ok=True)
        probe = os.path.join(folder, ".probe")
        with open(probe, "w"):
            os.unlink(probe)
    except OSError as error:
        raise UserError(f"The run's folder {folder} cannot be written: {error.strerror}; set run_dir.") from error
