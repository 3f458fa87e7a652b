"""Running means that regularisers follow, which move once a turn."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_lightning.contracts import DuelStep


class RunningMean:
    """Moves a running mean once a turn, in however many pieces the turn's batch goes through.

    Steps of one iteration are pieces of one turn. Each piece sees the mean moved by those so far, itself included;
    after the last one it has moved by the mean of the whole batch. What is between turns, the mean alone, is the
    owner's to keep in a buffer.
    """

    before: Tensor
    total: Tensor

    def __init__(self) -> None:
        self.iteration: int | None = None
        self.pieces = 0

    def moved(self, mean: Tensor, value: Tensor, share: float, step: DuelStep) -> Tensor:
        """Return what `mean` becomes when `share` of it is replaced by `value`, averaged over the turn's pieces.

        mean: as it is now; value: of this piece, over all processes, of the same shape.
        """
        if step.iteration != self.iteration:
            self.iteration, self.pieces = step.iteration, 0
            self.before, self.total = mean.clone(), torch.zeros_like(value)
        self.pieces += 1
        self.total = self.total + value
        return torch.lerp(self.before, self.total / self.pieces, share)
