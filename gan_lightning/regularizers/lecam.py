"""LeCam: keeps logits of real images near a running mean of the fake logits, and the reverse."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_lightning.contracts import DuelStep
from gan_lightning.errors import UserError
from gan_lightning.regularizers.base import Regularizer
from gan_lightning.regularizers.running import RunningMean


class LeCam(Regularizer, nn.Module):
    """weight * (E (D(x) - a_fake)^2 + E (D(G(z)) - a_real)^2), a: running means of the logits.

    The running means include the present logits. They are in the checkpoint, are equal in all processes, and are
    updated once per batch, also under gradient accumulation. Tseng et al. 2021, arXiv 2104.03310, whose released code
    only penalises D(x) above a_fake and D(G(z)) below a_real.

    decay: decay of the running means in each step.
    start: iterations before the penalty is used; until then the running means are those of the batch.
    """

    real: Tensor
    fake: Tensor

    def __init__(self, weight: float = 0.3, decay: float = 0.99, start: int = 1000, every: int = 1) -> None:
        nn.Module.__init__(self)
        Regularizer.__init__(self, weight, every)
        if not 0 <= decay < 1 or start < 0:
            raise UserError(
                f"regularizer.lecam got decay={decay} and start={start}: decay lies in [0, 1), start is at least 0."
            )
        self.decay, self.start = decay, start
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))
        self._running = RunningMean()

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the sum of the two mean squared distances, after updating the running means."""
        real, fake = step.real_logits.float(), step.fake_logits.float()
        share = 1 - self.decay if step.iteration > self.start else 1.0
        means = step.average(torch.stack([real.mean(), fake.mean()]))
        means = self._running.moved(torch.stack([self.real, self.fake]), means, share, step)
        self.real.copy_(means[0])
        self.fake.copy_(means[1])
        distances = (real - self.fake).square().mean() + (fake - self.real).square().mean()
        return distances * float(step.iteration >= self.start)
