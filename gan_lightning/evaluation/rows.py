"""From images and labels to the rows that metrics take: pixels, points, features, logits, labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.evaluation.blocks import Rows
from gan_lightning.metrics.base import Extractor
from gan_lightning.pixels import to_uint8

EXTRACTED = ("features", "logits")
STATE = "state"  # a kind that accompanies all others: of each sample one of these
FINE, NOT_FINITE, FEATURES_NOT_FINITE = range(3)


class RowMaker:
    """Makes the rows of `kinds` from images; one forward pass of the extractor where they are among them.

    data: says the shape of images. extractor: ready, None if no kind needs it.
    """

    def __init__(
        self, kinds: Iterable[str], data: Any, extractor: Extractor | None, device: torch.device | str
    ) -> None:
        self.kinds, self.shape = tuple(sorted(kinds)), tuple(data.image_shape)
        self.extractor = extractor if set(EXTRACTED) & set(self.kinds) else None
        self.device = torch.device(device)

    @property
    def empty(self) -> Rows:
        """Rows of no images."""
        extractor = self.extractor
        widths = {} if extractor is None else {"features": extractor.feature_dim, "logits": extractor.num_classes}
        made: Rows = {STATE: torch.zeros(0, dtype=torch.uint8, device=self.device)}
        for kind in self.kinds:
            shape = (widths[kind],) if kind in widths else () if kind == "labels" else self.shape
            dtype = {"labels": torch.int64, "images": torch.uint8}.get(kind, torch.float32)
            made[kind] = torch.zeros(0, *shape, dtype=dtype, device=self.device)
        return made

    def __call__(self, images: Tensor, labels: Tensor | None = None) -> Rows:
        """Return the rows of images, uint8 or float in [-1, 1] `(n, C, H, W)`, or of points `(n, D)`, on the device.

        Rows of an image that is not finite are those of a grey one, and `state` says so.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise UserError(
                f"Samples have the shape {tuple(images.shape[1:])} and the real ones {self.shape}: set data.image_size "
                "and data.channels to those of the generator."
            )
        bad = ~images.flatten(1).isfinite().all(dim=1)
        if len(self.shape) == 3 and images.is_floating_point():
            images = to_uint8(images.nan_to_num(0, 0, 0))
        made: Rows = {"images": images, "points": images, STATE: bad.byte().to(self.device)}
        if labels is not None:
            made["labels"] = labels.long()
        if self.extractor is not None:
            made |= self.extractor(images)
            self._check(made, made["features"], made["logits"])
        return {kind: made[kind].to(self.device) for kind in (STATE, *self.kinds)}

    def _check(self, made: Rows, *extracted: Tensor) -> None:
        """Mark samples whose features are not finite though their pixels are."""
        finite = torch.stack([values.flatten(1).isfinite().all(dim=1) for values in extracted]).all(dim=0)
        broken = ~finite.to(self.device) & (made[STATE] == FINE)
        made[STATE] = made[STATE].masked_fill(broken, FEATURES_NOT_FINITE)


def count_states(rows: Rows) -> Tensor:
    """Return how many samples are in each of the states, `(3,)`."""
    return rows[STATE].long().bincount(minlength=3)
