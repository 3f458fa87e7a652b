"""What a regulariser is: a scalar read off a step, or a constraint applied after one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from gan_lightning.errors import UserError

if TYPE_CHECKING:
    from gan_lightning.training.step import Step


class Regularizer:
    """A penalty that joins its player's loss.

    weight: factor, as the paper writes it (lambda, or gamma).
    every: 1 adds it to each step of its player; k > 1 makes it lazy, a step of its own after each k-th of the
        player's, k times as strong (Karras et al. 2019, arXiv 1912.04958).
    schedule: factor on the weight over the run's progress (0 to 1), None where it stays.
    differentiates: the inputs ("real", "fake") whose gradients it takes out of the forward that the loss made.
    forbids_batch_norm: it bounds each sample's own gradient, which batch norm mixes with the others'.
    """

    player: ClassVar[str] = "discriminator"
    differentiates: ClassVar[frozenset[str]] = frozenset()
    forbids_batch_norm: ClassVar[bool] = False

    def __init__(self, weight: float, every: int = 1, schedule: Callable[[float], float] | None = None) -> None:
        if not weight >= 0 or every < 1:
            raise UserError(
                f"{type(self).__name__} got weight={weight} and every={every}: a weight is at least 0, "
                "and every counts the player's steps from 1."
            )
        self.weight, self.every, self.schedule = weight, every, schedule

    def __call__(self, step: Step) -> Tensor:
        """Return the weighted penalty, a scalar to minimise."""
        factor = 1.0 if self.schedule is None else self.schedule(step.progress)
        return self.weight * factor * self.penalty(step)

    def penalty(self, step: Step) -> Tensor:
        """Return the penalty without its weight."""
        raise NotImplementedError


class Constraint:
    """A projection of a player's networks, applied after each of its steps."""

    player: ClassVar[str] = "discriminator"

    def apply(self, network: nn.Module) -> None:
        """Project the parameters of `network` in place."""
        raise NotImplementedError
