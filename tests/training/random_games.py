"""Random small games for the engine: who moves when, by losses of values that come from one another."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan_lightning.training.engine import Engine, Phase, Terms
from gan_lightning.training.player import Player
from gan_lightning.training.scalars import Scalars
from gan_lightning.training.step import Step, Turn

WIDTH, BATCH = 3, 4


class Network(nn.Module):
    """A layer or two; counts its forwards. Double precision, so that an order of additions does not show."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        layers = {"linear": [], "mlp": [nn.Tanh(), nn.Linear(WIDTH, WIDTH)], "norm": [nn.BatchNorm1d(WIDTH)]}[kind]
        self.layers = nn.Sequential(nn.Linear(WIDTH, WIDTH, bias=kind != "norm"), *layers).double()
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        return self.layers(inputs)

    def again(self, inputs: Tensor) -> Tensor:
        """A method of the network that is not its whole."""
        self.calls += 1
        return self.layers[0](inputs)


@dataclass
class Node:
    """A value: the sum of what it reads, of numbers and of the batch, through some networks and a tanh."""

    name: str
    kind: str  # "value", "this_turn" or "ahead"
    reads: list[int]
    networks: list[int]
    exact: bool
    method: str


@dataclass
class Plan:
    """Everything random about a game.

    owned: networks by player; losses: of a phase by player, groups of the nodes that its terms read.
    """

    kinds: list[str]
    shared: bool
    owned: list[list[int]]
    nodes: list[Node]
    phases: list[dict[int, list[list[int]]]]
    every: list[int]
    start: list[int]
    separable: list[bool]
    accumulate: int
    clip_norm: float | None
    share: bool


def plan(dice: random.Random) -> Plan:
    """Draw a game."""
    players = dice.randint(1, 4)
    networks = players + dice.randint(1, 2)
    owners = [n if n < players else dice.randrange(players + 1) for n in range(networks)]  # the last moves nothing
    owned = [[n for n in range(networks) if owners[n] == player] for player in range(players)]
    nodes = [_node(dice, place, networks) for place in range(dice.randint(4, 8))]
    phases = [_losses(dice, len(owned), len(nodes)) for _ in range(dice.randint(2, 5))]
    return Plan(
        kinds=[dice.choice(["linear", "mlp", "norm"]) for _ in range(networks)],
        shared=dice.random() < 0.4,
        owned=owned,
        nodes=nodes,
        phases=phases,
        every=[dice.choice([1, 1, 1, 2, 3]) for _ in phases],
        start=[dice.choice([0, 0, 0, 1, 2]) for _ in phases],
        separable=[dice.random() < 0.3 for _ in phases],
        accumulate=dice.choice([1, 1, 1, 1, 2]),
        clip_norm=dice.choice([None, None, 0.05]),
        share=dice.random() < 0.9,
    )


def _node(dice: random.Random, place: int, networks: int) -> Node:
    kind = dice.choice(["value", "value", "value", "ahead", "ahead", "this_turn"])
    reads = sorted(dice.sample(range(place), min(place, dice.choice([0, 1, 1, 2]))))
    runs = dice.sample(range(networks), dice.choice([0, 1, 1, 1, 2]))
    return Node(f"value {place}", kind, reads, runs, dice.random() < 0.2, dice.choice(["forward", "forward", "again"]))


def _losses(dice: random.Random, players: int, nodes: int) -> dict[int, list[list[int]]]:
    movers = dice.sample(range(players), min(players, dice.choice([1, 1, 2, 3])))
    return {
        player: [[dice.randrange(nodes) for _ in range(2)] for _ in range(dice.choice([1, 2]))] for player in movers
    }


class RandomGame:
    """A plan with networks and an engine.

    optimizer: builds one from parameters.
    seen: the movers' gradients as their optimisers got them, step after step; losses: their means by name.
    """

    def __init__(self, plan: Plan, optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> None:
        torch.manual_seed(0)
        self.plan, self.seen = plan, []
        self.networks = [Network(kind) for kind in plan.kinds]
        if plan.shared:
            self.networks[1].layers[0].weight = self.networks[0].layers[0].weight
        self.players = []
        for number, owned in enumerate(plan.owned):
            mine = list(dict.fromkeys(p for n in owned for p in self.networks[n].parameters()))
            self.players.append(Player(f"player {number}", mine, optimizer(mine)))
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.engine = Engine(
            self.phases(),
            accumulate=plan.accumulate,
            clip_norm=plan.clip_norm,
            share=plan.share,
            optimizer_step=self.step_of,
        )

    def parameters(self) -> list[nn.Parameter]:
        return list(dict.fromkeys(p for network in self.networks for p in network.parameters()))

    def movers(self, losses: dict[int, list[list[int]]]) -> list[int]:
        """Return the players that move: of two with a common parameter the first."""
        chosen: list[int] = []
        for player in losses:
            taken = {p for other in chosen for p in self.players[other].parameters}
            if taken.isdisjoint(self.players[player].parameters):
                chosen.append(player)
        return chosen

    def phases(self) -> list[Phase]:
        made = []
        for number, losses in enumerate(self.plan.phases):
            mine = {self.players[p]: self.loss(f"{number}/{p}", losses[p]) for p in self.movers(losses)}
            every, start = self.plan.every[number], self.plan.start[number]
            made.append(Phase(f"phase {number}", mine, every, start, separable=self.plan.separable[number]))
        return made

    def loss(self, name: str, groups: list[list[int]]) -> Callable[[Step], Iterator[Terms]]:
        def terms(step: Step) -> Iterator[Terms]:
            for number, group in enumerate(groups):
                value = sum(self.value(step, node).square().mean() for node in group)
                yield {f"{name}/{number}": value + (0 * self.anchor).sum()}

        return terms

    @property
    def anchor(self) -> Tensor:
        """What moves, so that a loss has a graph even where it reads nothing that does."""
        return torch.cat([p.flatten() for p in self.parameters() if p.requires_grad])

    def value(self, step: Step, place: int) -> Tensor:
        node = self.plan.nodes[place]
        make = lambda: self.make(step, node)  # noqa: E731
        return (
            step.value_ahead(node.name, make)
            if node.kind == "ahead"
            else step.value(node.name, make, this_turn=node.kind == "this_turn")
        )

    def make(self, step: Step, node: Node) -> Tensor:
        of = f"{node.name}/{step.turn.name}" if node.kind == "this_turn" else node.name
        total = step.batch["points"] + step.normal(of, WIDTH).double()
        for place in node.reads:
            total = total + self.value(step, place)
        for network in node.networks:
            total = step.run(self.networks[network], total, exact=node.exact, method=node.method)
        return total.tanh()

    def step_of(self, player: Player) -> None:
        """Note the gradients that the optimiser gets, and step."""
        self.seen.append([torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in player.parameters])
        player.optimizer.step()

    def step(self, iteration: int) -> Step:
        points = torch.randn(BATCH, WIDTH, generator=torch.Generator().manual_seed(iteration)).double()
        return Step({"points": points}, seed=3, iteration=iteration)

    def play(self, iterations: int) -> RandomGame:
        """Play with the engine."""
        for iteration in range(iterations):
            self.engine.run(self.step(iteration))
        self.losses = self.engine.scalars.flush()
        return self

    def play_by_hand(self, iterations: int) -> RandomGame:
        """Play as on paper, without engine and memory: every value anew, each player's gradients asked for by name."""
        for parameter in self.parameters():
            parameter.requires_grad_(True)
        scalars = Scalars()
        for iteration in range(iterations):
            for phase in [phase for phase in self.engine.phases if phase.due(iteration)]:
                gradients = [self.gradients(phase, player, iteration, scalars) for player in phase.players]
                for player, several in zip(phase.players, gradients, strict=True):
                    for parameter, gradient in zip(player.parameters, several, strict=True):
                        parameter.grad = gradient
                    self.clip(player)
                    self.step_of(player)
        self.losses = scalars.flush()
        return self

    def gradients(self, phase: Phase, player: Player, iteration: int, scalars: Scalars) -> list[Tensor]:
        """Return the gradients of a player's loss, and note its terms."""
        step, several, pieces = self.step(iteration), [], self.plan.accumulate
        step.turn = Turn(phase.turn_name)
        for part in step.split(pieces):
            terms = {name: value for group in phase.losses[player](part) for name, value in group.items()}
            for name, value in terms.items():
                scalars.add(f"loss/{name}", value)
            total = sum(terms.values()) / pieces
            several.append(torch.autograd.grad(total, player.parameters, allow_unused=True, materialize_grads=True))
        return [sum(parts) for parts in zip(*several, strict=True)]

    def clip(self, player: Player) -> None:
        if self.plan.clip_norm is not None:
            norm = torch.stack([p.grad.square().sum() for p in player.parameters]).sum().sqrt()
            for parameter in player.parameters:
                parameter.grad *= (self.plan.clip_norm / (norm + 1e-6)).clamp(max=1)

    @property
    def calls(self) -> list[int]:
        return [network.calls for network in self.networks]
