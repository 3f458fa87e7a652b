"""Checks of networks and data once they are built, before the run's folder is written: a user's own are seen too."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_lightning.errors import UserError
from gan_lightning.training.random import draw_latents


def check(module: Any, data: Any, parts: int = 1) -> None:
    """Raise UserError where `module` cannot train on `data`, each batch of which goes through in `parts` parts."""
    check_shape(module, data)
    check_latents(module)
    check_input_gradients(module)
    check_rows(module, data, parts)


def check_shape(module: Any, data: Any) -> None:
    """Refuse a generator that makes something else than the data set holds."""
    made = tuple(getattr(module.generator, "image_shape", data.image_shape))
    if made != tuple(data.image_shape):
        raise UserError(
            f"The generator makes images of shape {made}, but data {data.name} has {tuple(data.image_shape)}: choose a "
            "model for this data."
        )


def check_latents(module: Any) -> None:
    """Refuse latents of a distribution that is not known."""
    draw_latents(getattr(module.generator, "latent_distribution", "normal"), 1, 1, torch.Generator())


def check_input_gradients(module: Any) -> None:
    """Refuse batch norm in a discriminator of which each image's own gradient is penalised."""
    discriminator = getattr(module, "discriminator", None)
    trunk = getattr(discriminator, "backbone", discriminator)
    if trunk is None or not any(isinstance(layer, _BatchNorm) for layer in trunk.modules()):
        return
    for name, penalty in getattr(module, "regularizers", {}).items():
        if getattr(penalty, "forbids_batch_norm", False):
            raise UserError(
                f"regularizer={name} takes each image's own gradient, which batch norm in {type(trunk).__name__} mixes "
                "with the others: take another norm there, or drop the regulariser."
            )


def check_rows(module: Any, data: Any, parts: int) -> None:
    """Refuse to normalise a vector over a batch of one."""
    size = getattr(data, "batch_size", None)
    if size is not None and size // parts < 2 and any(isinstance(layer, nn.BatchNorm1d) for layer in module.modules()):
        raise UserError(
            f"Batch norm compares the rows of a batch, and of data.batch_size={size} only one goes through at a time: "
            f"take at least {2 * parts}, or a smaller model.accumulate."
        )
