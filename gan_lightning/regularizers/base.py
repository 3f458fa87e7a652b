"""What a regulariser is: a scalar read off a step, or a constraint applied after one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from gan_lightning.contracts import DuelStep, Role
from gan_lightning.errors import UserError


class Part:
    """What plays a role in a duel.

    role: whose loss it joins, or whose network it projects: "discriminator" or "generator".
    """

    role: ClassVar[Role] = "discriminator"

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse the attribute's former name, which nothing reads any more."""
        super().__init_subclass__(**options)
        if "player" in vars(cls):
            raise UserError(f"{cls.__name__}.player has another name now: write role = {cls.__dict__['player']!r}.")


class Regularizer(Part):
    """A penalty that joins the loss of one role in a duel.

    weight: factor, as the paper writes it (lambda, or gamma).
    every: 1 adds it to each step of its role; k > 1 makes it lazy, a step of its own after each k-th of the
        role's, k times as strong (Karras et al. 2019, arXiv 1912.04958).
    schedule: factor on the weight over the run's progress (0 to 1), None where it stays.
    differentiates: the inputs ("real", "fake") whose gradients it takes out of the forward that the loss made.
    forbids_batch_norm: it bounds each sample's own gradient, which batch norm mixes with the others'.
    """

    differentiates: ClassVar[frozenset[str]] = frozenset()
    forbids_batch_norm: ClassVar[bool] = False

    def __init__(self, weight: float, every: int = 1, schedule: Callable[[float], float] | None = None) -> None:
        if not weight >= 0 or every < 1:
            raise UserError(
                f"{type(self).__name__} got weight={weight} and every={every}: a weight is at least 0, "
                "and every counts the player's steps from 1."
            )
        self.weight, self.every, self.schedule = weight, every, schedule

    def __call__(self, step: DuelStep) -> Tensor:
        """Return the weighted penalty, a scalar to minimise."""
        factor = 1.0 if self.schedule is None else self.schedule(step.progress)
        return self.weight * factor * self.penalty(step)

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the penalty without its weight."""
        raise NotImplementedError


class Constraint(Part):
    """A projection of a role's network, applied after each of its steps. What is frozen stays as it is."""

    def apply(self, network: nn.Module) -> None:
        """Project those parameters of `network` in place that require gradients: the others are frozen."""
        raise NotImplementedError
