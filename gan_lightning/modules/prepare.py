"""Batches as they come from the data set, made ready for networks on the device."""

from __future__ import annotations

import torch
from torch import Tensor


def prepare(batch: dict[str, Tensor], memory_format: torch.memory_format) -> dict[str, Tensor]:
    """Bring uint8 images of a batch to float32 in [-1, 1] and to `memory_format`; floats keep their values."""
    image = batch["image"]
    if image.dtype == torch.uint8:
        image = image.float().div_(127.5).sub_(1)
    if image.ndim == 4:
        image = image.contiguous(memory_format=memory_format)
    return {**batch, "image": image}
