"""The engine: a list of phases, each a turn of one player. It knows no maths and no Lightning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.training.player import Player
from gan_lightning.training.scalars import Scalars
from gan_lightning.training.step import Step

Loss = Callable[[Step], dict[str, Tensor]]


@dataclass(frozen=True)
class Phase:
    """One turn: who moves, what it minimises, and how often.

    name: appears in logs and errors.
    loss: maps a step to named scalars; their sum is minimised.
    every: runs in each iteration whose number, counted from 1, is divisible by this.
    differentiates: inputs ("real", "fake") whose gradients the loss's penalties want out of the shared forward.
    constraints: applied to the player's networks after its step.
    """

    name: str
    player: Player
    loss: Loss
    every: int = 1
    differentiates: frozenset[str] = frozenset()
    constraints: Sequence[Callable[[], None]] = field(default=())

    def due(self, iteration: int) -> bool:
        """Return whether the phase runs in `iteration`, counted from 0."""
        return (iteration + 1) % self.every == 0


class Engine:
    """Runs the phases that are due.

    Backward, gradient reduction over processes, unscaling and the optimiser's step are given: Lightning's, or
    plain PyTorch's in a bare loop.

    phases: in the order of play.
    accumulate: the batch goes through in this many pieces, whose gradients add up.
    clip_norm: largest gradient norm of a player's step, None for no limit.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        *,
        scalars: Scalars | None = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
        backward: Callable[[Tensor], None] = torch.Tensor.backward,
        optimizer_step: Callable[[Player], object] = lambda player: player.optimizer.step(),
        reduce_gradients: Callable[[Sequence[nn.Parameter]], None] | None = None,
        unscale: Callable[[Optimizer], None] | None = None,
    ) -> None:
        self.phases = list(phases)
        self.scalars = scalars or Scalars()
        self.accumulate, self.clip_norm = accumulate, clip_norm
        self.backward, self.optimizer_step = backward, optimizer_step
        self.reduce_gradients, self.unscale = reduce_gradients, unscale
        self._all_parameters = unique(p for phase in self.phases for p in phase.player.parameters)
        self._mover: Player | None = None

    def shares_fakes(self, iteration: int) -> bool:
        """Return whether one generator forward serves both players in `iteration`."""
        return self.accumulate == 1 and any(p.player.name == "generator" and p.due(iteration) for p in self.phases)

    def run(self, step: Step, measure: bool = False) -> None:
        """Play all phases that are due; `measure` adds the gradient norms to the scalars."""
        for phase in self.phases:
            if phase.due(step.iteration):
                self._play(phase, step, measure)

    def _play(self, phase: Phase, step: Step, measure: bool) -> None:
        player = phase.player
        self._unfreeze(player)
        step.begin(player.name, phase.differentiates)
        player.optimizer.zero_grad(set_to_none=True)
        for part in step.split(self.accumulate):
            part.backward = self._backward_of_part
            terms = phase.loss(part)
            part.backward(reduce(add, terms.values()))
            for name, value in terms.items():
                self.scalars.add(f"loss/{name}", value)
        self._finish(player, measure)
        for constraint in phase.constraints:
            constraint()
        step.moved(player.name)

    def _backward_of_part(self, loss: Tensor) -> None:
        self.backward(loss / self.accumulate if self.accumulate > 1 else loss)

    def _finish(self, player: Player, measure: bool) -> None:
        if self.reduce_gradients is not None:
            self.reduce_gradients(player.parameters)
        if measure or self.clip_norm is not None:
            if self.unscale is not None:
                self.unscale(player.optimizer)
            gradients = [p.grad for p in player.parameters if p.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
            if self.clip_norm is not None:
                nn.utils.clip_grads_with_norm_(player.parameters, self.clip_norm, norm)
            if measure:
                self.scalars.add(f"gradient_norm/{player.name}", norm)
        self.optimizer_step(player)

    def _unfreeze(self, player: Player) -> None:
        """Let only `player`'s parameters record gradients: the others' would be thrown away."""
        if player is self._mover:
            return
        for parameter in self._all_parameters:
            parameter.requires_grad_(False)
        for parameter in player.parameters:
            parameter.requires_grad_(True)
        self._mover = player


def unique(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Return each parameter once, in order of first appearance."""
    return list(dict.fromkeys(parameters))
