"""A probability that is adapted to the discriminator's overfitting: Karras et al. 2020, 2006.06676."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gan_lightning.augment.base import Augment
from gan_lightning.contracts import Duel, DuelStep
from gan_lightning.errors import UserError, check_range


class Adaptive(Augment):
    """Increases p while E sign D(x) on real images is above `target` (overfitting), and decreases it otherwise.

    p, and the sum of signs since the last adjustment, are in the checkpoint and are equal in all processes.

    p: initial value, from 0 to 1.
    target: None keeps p constant.
    interval: iterations between two adjustments.
    kimg: thousands of images in which p can increase from 0 to 1.
    schedule: without a target, a factor on p as a function of the run's progress (0 to 1); None: constant p.
    """

    p: Tensor
    sign: Tensor
    signs: Tensor

    def __init__(
        self,
        p: float = 0.0,
        target: float | None = 0.6,
        interval: int = 4,
        kimg: float = 500.0,
        schedule: Callable[[float], float] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= p <= 1 or interval < 1 or kimg <= 0:
            raise UserError(
                f"augment got p={p}, interval={interval} and kimg={kimg}: p lies in [0, 1], interval is at least 1, "
                "kimg above 0."
            )
        check_range("augment", -1, 1, target=target)
        if target is not None and schedule is not None:
            raise UserError("augment.schedule and augment.target both move p: set one of them to null.")
        self.target, self.interval, self.kimg = target, interval, kimg
        self.schedule, self._scheduled = schedule, p
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros(2))  # sum and number
        self.register_buffer("sign", torch.zeros(()))  # mean at the last adjustment

    def check(self, duel: Duel) -> None:
        """Raise UserError if p is adapted to the sign of D(x) and the loss gives the sign no meaning."""
        super().check(duel)
        if self.target is not None and not getattr(duel.loss, "decides_at_zero", True):
            raise UserError(
                f"augment={self.name} moves p by the sign of D(x), which says nothing under loss "
                f"{type(duel.loss).__name__}: use augment.target=null with augment.p or augment.schedule, or a loss of "
                "any model that decides at zero: nonsaturating, hinge, least_squares_pearson."
            )

    def begin(self, images_seen: int, total_images: float) -> None:
        """Set p from the schedule, if there is one."""
        if self.schedule is None:
            return
        if math.isinf(total_images):
            raise UserError("augment.schedule moves p over the run: set max_kimg or max_epochs.")
        self.p.fill_(self._scheduled * self.schedule(images_seen / total_images))

    def observe(self, step: DuelStep) -> None:
        """Add the mean sign of D(x) on the real images, over all processes."""
        if self.target is not None:
            self.signs[0] += step.average(step.real_logits.detach().sign().float().mean())
            self.signs[1] += 1

    @torch.no_grad()
    def finish(self, iteration: int, images: int) -> None:
        """Adjust p after every `interval` iterations, by their images divided by `kimg`."""
        if self.target is not None and (iteration + 1) % self.interval == 0:
            seen = self.signs[1] > 0  # not while the discriminator waits, as in a warm-up
            self.sign.copy_(torch.where(seen, self.signs[0] / self.signs[1], self.sign))
            by = images * self.interval / (self.kimg * 1000)
            self.p.add_((self.sign - self.target).sign() * by * seen).clamp_(0, 1)
            self.signs.zero_()

    def scalars(self) -> dict[str, Tensor]:
        """Return p, and the mean sign to which it is adapted."""
        return {"augment/p": self.p, "augment/sign": self.sign}
