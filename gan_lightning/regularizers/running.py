"""Running means for regularisers, updated once per turn (all accumulation steps of a phase)."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_lightning.contracts import DuelStep


class RunningMean:
    """Updates a running mean once per turn, for any number of accumulation steps ("pieces").

    Steps of one iteration are pieces of one turn. Each piece gets the mean after the update by all pieces so far,
    including itself. After the last piece the update is that of the whole batch's mean. Between turns there is only the
    mean, which the owner keeps in a buffer.
    """

    before: Tensor
    total: Tensor

    def __init__(self) -> None:
        self.iteration: int | None = None
        self.pieces = 0

    def moved(self, mean: Tensor, value: Tensor, share: float, step: DuelStep) -> Tensor:
        """Return (1 - share) * mean + share * value: the mean at the turn's start, `value` averaged over its pieces.

        mean: the present mean. value: of this piece, over all processes, in the same shape.
        """
        if step.iteration != self.iteration:
            self.iteration, self.pieces = step.iteration, 0
            self.before, self.total = mean.clone(), torch.zeros_like(value)
        self.pieces += 1
        self.total = self.total + value
        return torch.lerp(self.before, self.total / self.pieces, share)
