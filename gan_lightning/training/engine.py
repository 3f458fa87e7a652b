"""The engine runs phases; in each, one or several players are updated. It contains no maths and no Lightning code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version
from torch.optim import Optimizer

from gan_lightning.errors import UserError
from gan_lightning.training.memory import identities
from gan_lightning.training.player import Player
from gan_lightning.training.scalars import Scalars
from gan_lightning.training.step import Step, Turn, joined

Terms = dict[str, Tensor]
"""Scalars by name, whose sum is minimised."""
Loss = Callable[[Step], Terms | Iterable[Terms]]
"""Maps a step to terms, or yields them in groups: one that is done with before the next one is made."""
STALE = ("modified by an inplace operation", "backward through the graph a second time")
STALE_SENTENCE = (
    "Phase {} went backward through a graph that is out of date: a network of it has moved since it was made, or a "
    "backward has used it up. Let losses read step.value(...) anew and keep no tensor from one phase to the next."
)


@dataclass(frozen=True)
class Phase:
    """The players that are updated together, what each minimises, and how often.

    name: appears in logs and errors.
    losses: the loss of each player of the phase. Gradients of a loss go only to its own player.
    every: the phase runs every `every`-th iteration after `start`.
    start: number of iterations before the phase is used.
    differentiates: inputs ("real", "fake") for which penalties need gradients of the shared logits.
    constraints: called after the step.
    separable: whether groups of terms share no graph. The backward of each group then runs at once, which frees its
        memory. Only with one player; with several, a graph is kept until the last loss has used it.
    """

    name: str
    losses: Mapping[Player, Loss]
    every: int = 1
    start: int = 0
    differentiates: frozenset[str] = frozenset()
    constraints: Sequence[Callable[[], None]] = field(default=())
    separable: bool = False

    @cached_property
    def players(self) -> list[Player]:
        """The players that are updated."""
        return list(self.losses)

    @cached_property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The parameters that are updated, each once."""
        return joined(parameter for player in self.players for parameter in player.parameters)

    @cached_property
    def turn_name(self) -> str:
        """Key of the random numbers: the player's name, so that a lazy phase has those of the main phase."""
        return self.players[0].name if len(self.losses) == 1 else self.name

    def due(self, iteration: int) -> bool:
        """Return whether the phase runs in `iteration`, counted from 0."""
        return iteration >= self.start and (iteration - self.start + 1) % self.every == 0


class Engine:
    """Runs the phases that are due: first all backwards of a phase, then all steps.

    The functions for backward, gradient reduction, unscaling and optimiser steps are arguments: those of Lightning, or
    of plain PyTorch in a bare loop.

    phases: in the order in which they run.
    accumulate: number of pieces of a batch (gradient accumulation).
    clip_norm: largest gradient norm of a player's step, None for no limit.
    after_steps: called once after all players of a phase have stepped, to update a gradient scaler.
    share: whether a phase and a later one may share one forward of a network.

    Raises UserError for a phase in which two players move the same parameter.
    """

    def __init__(
        self,
        phases: Sequence[Phase],
        *,
        scalars: Scalars | None = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
        backward: Callable[..., None] = torch.Tensor.backward,
        optimizer_step: Callable[[Player], object] = lambda player: player.optimizer.step(),
        after_steps: Callable[[], object] | None = None,
        reduce_gradients: Callable[[Sequence[nn.Parameter]], None] | None = None,
        unscale: Callable[[Optimizer], None] | None = None,
        share: bool = True,
    ) -> None:
        self.phases = list(phases)
        for phase in self.phases:
            check_movers(phase)
        self.scalars = scalars or Scalars()
        self.accumulate, self.clip_norm = accumulate, clip_norm
        self.backward, self.optimizer_step, self.after_steps = backward, optimizer_step, after_steps
        self.reduce_gradients, self.unscale, self.share = reduce_gradients, unscale, share
        self._all_parameters = joined(p for phase in phases for player in phase.players for p in player.parameters)
        self._turns: dict[tuple[int, ...], list[Turn]] = {}
        self._mover: list[Player] = []

    def run(self, step: Step, measure: bool = False) -> None:
        """Run all phases that are due; `measure` adds the gradient norms to the scalars."""
        due = [index for index, phase in enumerate(self.phases) if phase.due(step.iteration)]
        for index, turn in zip(due, self.turns(due), strict=True):
            self._play(self.phases[index], turn, step, measure)

    def turns(self, due: Sequence[int]) -> list[Turn]:
        """Return the turns of an iteration in which the phases with these numbers are due."""
        key = tuple(due)
        if key not in self._turns:
            self._turns[key] = [self._turn(due, place) for place in range(len(due))]
        return self._turns[key]

    def _turn(self, due: Sequence[int], place: int) -> Turn:
        phase, after = self.phases[due[place]], [self.phases[index] for index in due[place + 1 :]]
        shared = self.share and self.accumulate == 1
        coming = joined(p for later in after for p in later.parameters) if shared else ()
        return Turn(
            phase.turn_name, identities(phase.parameters), coming, identities(coming), frozenset(phase.differentiates)
        )

    def _play(self, phase: Phase, turn: Turn, step: Step, measure: bool) -> None:
        self._unfreeze(phase.players)
        step.begin(turn)
        for player in phase.players:
            player.optimizer.zero_grad(set_to_none=True)
        for part in step.split(self.accumulate):
            for name, value in self._differentiate(phase, part).items():
                self.scalars.add(f"loss/{name}", value)
        self._finish(phase, measure)
        step.memory.moved(turn.movers)

    def _differentiate(self, phase: Phase, part: Step) -> Terms:
        """Compute the players' losses on one piece and run the backwards; return the terms by name."""
        logged: Terms = {}
        if len(phase.losses) == 1:
            for total in self._totals(phase, part, logged):
                self._backward(phase, total)
                part.memory.spent()
            return logged
        totals = {player: list(self._totals(phase, part, logged, player)) for player in phase.players}
        reads = [(player, total) for player, several in totals.items() for total in several]
        for place, (player, total) in enumerate(reads, start=1):
            self._backward(phase, total, inputs=player.parameters, retain_graph=place < len(reads))
        part.memory.spent()
        return logged

    def _totals(self, phase: Phase, part: Step, logged: Terms, player: Player | None = None) -> Iterator[Tensor]:
        """Yield the scalars for backward: the sum of all terms, or one sum for each group if the phase is separable."""
        total: Tensor | None = None
        for terms in groups(phase.losses[player or phase.players[0]](part)):
            for name, value in terms.items():
                total = value if total is None else total + value
                logged[name] = logged[name] + value.detach() if name in logged else value.detach()
            if phase.separable and total is not None:
                yield total
                total = None
        if total is not None:
            yield total

    def _backward(self, phase: Phase, total: Tensor, **options: object) -> None:
        try:
            self.backward(total / self.accumulate if self.accumulate > 1 else total, **options)
        except RuntimeError as error:
            if any(sign in str(error) for sign in STALE):
                raise RuntimeError(STALE_SENTENCE.format(phase.name)) from error
            raise

    def _finish(self, phase: Phase, measure: bool) -> None:
        parameters = phase.parameters
        if self.reduce_gradients is not None:
            self.reduce_gradients(parameters)
        if measure or self.clip_norm is not None:
            for player in phase.players:
                self._clip(player, measure)
        for player in phase.players:
            self.optimizer_step(player)
        if self.after_steps is not None:
            self.after_steps()
        # Fused optimisers leave the version as it was, and a backward through an older graph would be wrong in silence.
        increment_version(parameters)
        for constraint in phase.constraints:
            constraint()

    def _clip(self, player: Player, measure: bool) -> None:
        if self.unscale is not None:
            self.unscale(player.optimizer)
        gradients = [p.grad for p in player.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        if self.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(player.parameters, self.clip_norm, norm)
        if measure:
            self.scalars.add(f"gradient_norm/{player.name}", norm)

    def _unfreeze(self, players: list[Player]) -> None:
        """Require gradients only for these players' parameters; others would be computed in vain."""
        if players == self._mover:
            return
        for parameter in self._all_parameters:
            parameter.requires_grad_(False)
        for player in players:
            for parameter in player.parameters:
                parameter.requires_grad_(True)
        self._mover = players


def check_movers(phase: Phase) -> None:
    """Raise UserError where two players would move the same parameter at once, each by the sum of both gradients."""
    owners: dict[nn.Parameter, str] = {}
    for player in phase.players:
        for parameter in player.parameters:
            other = owners.setdefault(parameter, player.name)
            if other != player.name:
                raise UserError(
                    f"Phase {phase.name} moves a parameter {tuple(parameter.shape)} that {other} and {player.name} "
                    "share: let them move in phases of their own, or give the parameter to one of them."
                )


def groups(terms: Terms | Iterable[Terms]) -> Iterable[Terms]:
    """Return a loss's groups of terms; a loss may return one dict with all terms."""
    return [terms] if isinstance(terms, dict) else terms
