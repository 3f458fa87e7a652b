"""Checks the networks of a duel against the data: image sizes, classes, and batches."""

from __future__ import annotations

from typing import Any

from torch import nn

from gan_lightning.contracts import Duel
from gan_lightning.errors import UserError
from gan_lightning.networks.base import BatchSize


def check(duel: Duel, data: Any) -> None:
    """Raise UserError if shapes of samples, classes or the batch size do not fit `data`."""
    check_shape(duel, data)
    check_classes(duel, data)
    check_head(duel, data)


def name_of(data: Any) -> str:
    """Return the name of a data module, also of one that has none."""
    return getattr(data, "name", None) or type(data).__name__


def check_shape(duel: Duel, data: Any) -> None:
    """Refuse a generator whose samples have another shape than those of the data set."""
    if not hasattr(data, "image_shape"):
        return
    there = tuple(data.image_shape)
    made = tuple(getattr(duel.generator, "image_shape", there))
    if made != there:
        raise UserError(
            f"The generator makes images of shape {made}, but data {name_of(data)} has {there}: choose a model for "
            "this data."
        )


def check_classes(duel: Duel, data: Any) -> None:
    """Refuse networks for another number of classes than the data set has."""
    classes = getattr(data, "num_classes", None)
    known = {
        "generator_classes": getattr(duel.generator, "num_classes", 0),
        "label_maps": getattr(getattr(duel.discriminator, "backbone", None), "label_maps", 0),
    }
    for name, value in known.items():
        if classes is not None and value not in (0, classes):
            raise UserError(
                f"conditioning.{name}={value} does not fit data.num_classes={classes}: it is that, or 0 for none."
            )


def check_head(duel: Duel, data: Any) -> None:
    """Refuse a head that needs labels on data without, or with more classes than it knows."""
    head, classes = duel.head, getattr(data, "num_classes", None)
    if head is None or not head.needs_labels or classes is None or 0 < classes <= head.num_classes:
        return
    if not classes:
        raise UserError(
            f"{type(head).__name__} needs labels (data.num_classes=0), and {name_of(data)} is unlabelled here: take "
            "another head, or a labelled data set."
        )
    raise UserError(
        f"{type(head).__name__} knows {head.num_classes} classes, which does not fit data.num_classes={classes}: build "
        "it with that."
    )


def check_batch(duel: Duel, batch: BatchSize) -> None:
    """Refuse a batch that a layer of the discriminator cannot divide, or that leaves batch norm a single row."""
    networks = [network for network in (duel.discriminator, duel.generator) if isinstance(network, nn.Module)]
    layers = [layer for network in networks for layer in network.modules()]
    if batch.total // batch.parts < 2 and any(isinstance(layer, nn.BatchNorm1d) for layer in layers):
        raise UserError(
            f"Batch norm compares the rows of a batch, and of data.batch_size={batch.total} only one goes through at a "
            f"time: take at least {2 * batch.parts}, or a smaller model.accumulate."
        )
    for layer in layers:
        check: Any = getattr(layer, "check_batch", None)
        if check is not None:
            check(batch)
