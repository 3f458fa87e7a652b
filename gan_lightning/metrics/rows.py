"""Base class of metrics that compare all rows of samples with all rows of real images."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from gan_lightning.metrics.base import LOCAL, SampleMetric


class RowsMetric(SampleMetric):
    """Keeps the rows of all samples until `compute()`; the rows of real images are set as `real_rows`.

    Long computations run on the device of the rows (a GPU if there is one), although results are needed on the CPU.
    """

    consumes: ClassVar[tuple[str, ...]] = ("features",)
    keeps: ClassVar[tuple[str, ...]] = ("features",)
    full_state_update = False

    def __init__(self) -> None:
        super().__init__(**LOCAL)
        self.place: torch.device | None = None  # device of the samples' rows
        for kind in self.consumes:
            self.add_state(kind, [], dist_reduce_fx=None)

    def update(self, *values: Tensor, real: bool = False, **_: Any) -> None:
        """Take rows of samples, `(N, F)` features first; rows of real images are ignored."""
        if real:
            return
        self.place = values[0].device
        for kind, rows in zip(self.consumes, values, strict=True):
            getattr(self, kind).append(rows)

    def fakes(self, kind: str = "features") -> Tensor:
        """Return the rows of all samples, in their order."""
        return dim_zero_cat(getattr(self, kind)).to(self.place)

    def reals(self, kind: str = "features") -> Tensor:
        """Return the rows of all real images, in their order."""
        return self.real_rows[kind].to(self.place or self.device)
