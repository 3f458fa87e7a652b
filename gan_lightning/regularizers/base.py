"""Base classes of regularisers: penalties computed in a step, and constraints applied after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_lightning.contracts import Duel, DuelStep, Role
from gan_lightning.errors import UserError


class Part:
    """Base class of parts that belong to one role in a duel.

    role: the role whose loss or network it changes, "discriminator" or "generator".
    """

    role: ClassVar[Role] = "discriminator"

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse the attribute's former name, which would be ignored."""
        super().__init_subclass__(**options)
        if "player" in vars(cls):
            raise UserError(f"{cls.__name__}.player has another name now: write role = {cls.__dict__['player']!r}.")

    def check(self, name: str, duel: Duel) -> None:
        """Raise UserError if this part, called `name`, cannot work in `duel`."""


class Regularizer(Part):
    """A penalty that is added to the loss of one role in a duel.

    weight: factor as defined in the paper (lambda or gamma).
    every: 1 adds it to the loss in each step of its role. k > 1 is lazy regularisation: after every k-th step of the
        role, a separate optimiser step with k times the weight (Karras et al. 2019, arXiv 1912.04958).
    schedule: factor on the weight as a function of the run's progress (0 to 1); None: constant.
    differentiates: the inputs ("real", "fake") for which it needs gradients of the logits that the loss uses.
    bounds_slope: it limits how steep the discriminator is, as the Wasserstein loss needs.
    forbids_batch_norm: it restricts the gradient of each sample, which batch norm makes dependent on the other samples.
    """

    differentiates: ClassVar[frozenset[str]] = frozenset()
    bounds_slope: ClassVar[bool] = False
    forbids_batch_norm: ClassVar[bool] = False

    def __init__(self, weight: float, every: int = 1, schedule: Callable[[float], float] | None = None) -> None:
        if not weight >= 0 or every < 1:
            raise UserError(
                f"{type(self).__name__} got weight={weight} and every={every}: a weight is at least 0, "
                "and every counts the player's steps from 1."
            )
        self.weight, self.every, self.schedule = weight, every, schedule

    def check(self, name: str, duel: Duel) -> None:
        """Raise UserError if batch norm would mix the gradients of different samples."""
        trunk = getattr(duel.discriminator, "backbone", duel.discriminator)
        if not self.forbids_batch_norm or not any(isinstance(layer, _BatchNorm) for layer in layers(trunk)):
            return
        ours = "norm" in getattr(trunk, "arguments", {})
        place = "the discriminator" if ours else type(trunk).__name__
        way = "set model.discriminator.backbone.norm=layer (or none)" if ours else "take another norm there"
        raise UserError(
            f"regularizer={name} takes each image's own gradient, which batch norm in {place} mixes with the others: "
            f"{way}, or drop the regulariser."
        )

    def __call__(self, step: DuelStep) -> Tensor:
        """Return the weighted penalty, a scalar to minimise."""
        factor = 1.0 if self.schedule is None else self.schedule(step.progress)
        return self.weight * factor * self.penalty(step)

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the penalty without its weight."""
        raise NotImplementedError


class Constraint(Part):
    """A projection of a role's network, applied after each of its steps. Frozen parameters do not change."""

    def apply(self, network: nn.Module) -> None:
        """Project in place the parameters of `network` that require gradients; the others are frozen."""
        raise NotImplementedError


def layers(network: object) -> list[nn.Module]:
    """Return the layers of a network; a plain function has none."""
    return list(network.modules()) if isinstance(network, nn.Module) else []
