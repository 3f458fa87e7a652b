"""Converts a loader's batch to the networks' input, on the device, each field by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from gan_lightning.data.fields import Batch, Field, Kind

CONVENTION = {  # for fields that no data module declares
    "label": Field("label", "label"),
    "mask": Field("mask", "mask"),
}


def prepare(batch: Batch, fields: Mapping[str, Field], memory_format: torch.memory_format) -> Batch:
    """Convert each field of a batch to the form that networks take, on its device; see `Field`.

    Pictures, masks and one-hot maps take `memory_format`. Floating-point values are not changed, so that a batch may be
    prepared twice. The kind of a field that is not in `fields` follows from its name (`label`, `mask`). With any other
    name, uint8 values are a picture, and all others stay unchanged.
    """
    ready = {}
    for name, values in batch.items():
        field = fields.get(name) or CONVENTION.get(name) or Field(name)
        if not values.is_floating_point():
            values = READY[field.kind](values, field, memory_format)
        ready[name] = values.contiguous(memory_format=memory_format) if values.ndim == 4 else values
    return ready


def _picture(values: Tensor, field: Field, memory_format: torch.memory_format) -> Tensor:
    return values.float().div_(127.5).sub_(1) if values.dtype == torch.uint8 else values


def _mask(values: Tensor, field: Field, memory_format: torch.memory_format) -> Tensor:
    return (values != 0).float()


def _one_hot(values: Tensor, field: Field, memory_format: torch.memory_format) -> Tensor:
    count, height, width = values.shape
    shape = (count, field.classes, height, width)
    maps = torch.empty(shape, device=values.device, memory_format=memory_format).zero_()
    return maps.scatter_(1, values.long()[:, None], 1.0)


def _as_it_is(values: Tensor, field: Field, memory_format: torch.memory_format) -> Tensor:
    return values


READY: dict[Kind, Callable[[Tensor, Field, torch.memory_format], Tensor]] = {
    "picture": _picture,
    "mask": _mask,
    "label": _as_it_is,
    "label_map": _one_hot,
    "points": _as_it_is,
}
