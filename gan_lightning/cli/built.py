"""Checks of networks and data once they are built, before the run's folder is written: a user's own are seen too."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm

from gan_lightning.data.degradations import check_source
from gan_lightning.errors import UserError
from gan_lightning.networks.layers.equalised import EqualisedConv2d, EqualisedLinear
from gan_lightning.networks.layers.minibatch import MinibatchStddev
from gan_lightning.networks.layers.spectral import SpectralNorm
from gan_lightning.regularizers import WeightClipping
from gan_lightning.streams import draw_latents


def check(module: Any, data: Any, parts: int = 1) -> None:
    """Raise UserError where `module` cannot train on `data`, each batch of which goes through in `parts` parts."""
    check_shape(module, data)
    check_source(module, data, getattr(module, "task", None))
    check_latents(module)
    check_input_gradients(module)
    check_clipping(module)
    check_rows(module, data, parts)
    check_groups(module, data, parts)


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


def check_clipping(module: Any) -> None:
    """Refuse to clip stored weights that the critic does not use as they are stored."""
    clipped = [name for name, r in getattr(module, "regularizers", {}).items() if isinstance(r, WeightClipping)]
    discriminator = getattr(module, "discriminator", None)
    if not clipped or discriminator is None:
        return
    for where, layer in discriminator.named_modules():
        # Ours, PyTorch's, and by its parameter PyTorch's old one.
        if isinstance(layer, SpectralNorm | _SpectralNorm) or hasattr(layer, "weight_orig"):
            raise UserError(
                f"regularizer={clipped[0]} bounds nothing under the spectral norm in the discriminator "
                f"({where.partition('.parametrizations')[0]}), which brings its weights to norm 1 whatever their size: "
                "drop the regulariser, or use a discriminator without spectral norm."
            )
        if isinstance(layer, EqualisedLinear | EqualisedConv2d):
            raise UserError(
                f"regularizer={clipped[0]} clips weights as they are stored, but the equalised learning rate in the "
                f"discriminator ({where}) stores them near 1 and scales them down in use, so that scores would die: "
                "use regularizer=[gradient_penalty], or a discriminator without it."
            )


def check_rows(module: Any, data: Any, parts: int) -> None:
    """Refuse to normalise a vector over a batch of one."""
    size = getattr(data, "batch_size", None)
    if size is not None and size // parts < 2 and any(isinstance(layer, nn.BatchNorm1d) for layer in module.modules()):
        raise UserError(
            f"Batch norm compares the rows of a batch, and of data.batch_size={size} only one goes through at a time: "
            f"take at least {2 * parts}, or a smaller model.accumulate."
        )


def check_groups(module: Any, data: Any, parts: int) -> None:
    """Refuse a minibatch standard deviation of samples that make no groups: it would say nothing."""
    size, discriminator = getattr(data, "batch_size", None), getattr(module, "discriminator", None)
    if size is None or discriminator is None:
        return
    pack = getattr(discriminator, "pack", 1)
    rows = size // parts // pack
    wanted = [layer.group_size for layer in discriminator.modules() if isinstance(layer, MinibatchStddev)]
    if any(most > 1 and not any(rows % group == 0 for group in range(2, most + 1)) for most in wanted):
        raise UserError(
            f"The discriminator's minibatch standard deviation compares groups of 2 to {max(wanted)} samples, into "
            f"which the {rows} that data.batch_size={size} lets through at a time cannot be divided: take "
            f"data.batch_size={(rows + 1) * pack * parts}, or model.discriminator.backbone.group_size=0 to go without."
        )
