"""Random games: the engine's memory changes no number, and runs no network more often than is needed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import pytest
import torch

from gan_lightning.training.memory import Memory
from tests.training.random_games import Plan, RandomGame, plan

ITERATIONS = 4
GAMES = 15  # of each optimiser's own
ADAM = {"lr": 0.05, "eps": 1e-3}  # a large epsilon, for rounding's sake: else gradients that are zero move weights
OPTIMIZERS = {
    f"{'fused' if fused else 'foreach'} {kind.__name__}": partial(kind, **options, fused=fused, foreach=not fused)
    for kind, options in ((torch.optim.SGD, {"lr": 0.05}), (torch.optim.Adam, ADAM), (torch.optim.AdamW, ADAM))
    for fused in (True, False)
}


def games(name: str) -> Iterator[tuple[Plan, Callable]]:
    """Yield random games, and what makes their optimisers."""
    for number in range(GAMES):
        yield plan(random.Random(f"{name} {number}")), OPTIMIZERS[name]


def same(one: object, other: object) -> None:
    torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_engine_plays_as_on_paper(name, monkeypatch):
    """With everything made anew for each loss, and each loss's gradients by its own player's parameters alone."""
    for drawn, optimizer in games(name):
        game, by_hand = RandomGame(drawn, optimizer).play(ITERATIONS), RandomGame(drawn, optimizer)
        with monkeypatch.context() as patch:
            patch.setattr(Memory, "get", lambda self, name, make, this_turn=False: make())
            patch.setattr(Memory, "ahead", lambda self, name, make, coming, later: make())
            by_hand.play_by_hand(ITERATIONS)
        assert len(game.seen) == len(by_hand.seen)
        same(game.seen, by_hand.seen)
        same(game.losses, by_hand.losses)
        same([p.detach() for p in game.parameters()], [p.detach() for p in by_hand.parameters()])
        assert all(a <= b for a, b in zip(game.calls, by_hand.calls, strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_network_runs_more_often_than_the_game_needs(name):
    for drawn, optimizer in games(name):
        game = RandomGame(drawn, optimizer).play(ITERATIONS)
        assert game.calls == needed(RandomGame(drawn, optimizer)), drawn


@dataclass(eq=False)
class Made:
    """A value of a place: of which networks' versions, whom its graph reaches, what is in that, and when it counts."""

    place: int
    versions: dict[int, int]
    live: set[int]
    turn: int | None
    parts: list[Made]

    def with_parts(self) -> list[Made]:
        return [self, *[deeper for part in self.parts for deeper in part.with_parts()]]


class Needs:
    """Counts what one iteration needs by hand: versions of networks, and who wants a graph to which of them.

    A value serves again while no network behind it has a new version, where its graph reaches what moves and nothing
    else; one made ahead may be cut off, and then serves whoever wants no graph to these networks. A backward uses up
    the graphs that reach what moves, and what shares a part with them.
    """

    def __init__(self, game: RandomGame, calls: list[int]) -> None:
        self.game, self.calls, self.turn = game, calls, 0
        self.own = [set(network.parameters()) for network in game.networks]
        self.versions = [0] * len(self.own)
        self.kept: list[Made] = []

    def behind(self, place: int) -> set[int]:
        node = self.game.plan.nodes[place]
        return set(node.networks).union(*[self.behind(read) for read in node.reads])

    def of_this_turn(self, place: int) -> bool:
        node = self.game.plan.nodes[place]
        return node.kind == "this_turn" or any(map(self.of_this_turn, node.reads))

    def reached(self, place: int, parameters: set) -> set[int]:
        return {network for network in self.behind(place) if self.own[network] & parameters}

    def find(self, place: int, live: set[int]) -> Made | None:
        for made in self.kept:
            current = made.versions == {network: self.versions[network] for network in self.behind(place)}
            if made.place == place and current and made.live == live and made.turn in (None, self.turn):
                return made
        return None

    def read(self, place: int, movers: set, later: set) -> Made:
        """Count what reading the value of `place` costs while `movers` move, and `later` do after them."""
        ahead, wanted = self.game.plan.nodes[place].kind == "ahead", self.reached(place, movers)
        if (found := self.find(place, wanted)) is not None:
            return found
        if not ahead:
            return self.keep(place, wanted, self.make(place, movers, later))
        everyone = self.reached(place, movers | later)
        if wanted or not everyone:
            return self.keep(place, wanted, self.make(place, movers | later, later))
        if self.find(place, everyone) is None:
            self.keep(place, everyone, self.make(place, movers | later, later))
        return self.keep(place, wanted, [])

    def keep(self, place: int, live: set[int], parts: list[Made]) -> Made:
        versions = {network: self.versions[network] for network in self.behind(place)}
        made = Made(place, versions, live, self.turn if self.of_this_turn(place) else None, parts)
        self.kept.append(made)
        return made

    def make(self, place: int, movers: set, later: set) -> list[Made]:
        """Run the networks of the value; return what it was made of."""
        node = self.game.plan.nodes[place]
        for network in node.networks:
            self.calls[network] += 1
        return [made for made in (self.read(read, movers, later) for read in node.reads) if made.live]

    def spent(self, movers: set) -> None:
        reaching = [made for made in self.kept if made.live & self.reached(made.place, movers)]
        used = {part for made in reaching for part in made.with_parts()}
        self.kept = [made for made in self.kept if used.isdisjoint(made.with_parts())]

    def moved(self, movers: set) -> None:
        self.versions = [version + bool(own & movers) for version, own in zip(self.versions, self.own, strict=True)]


def needed(game: RandomGame) -> list[int]:
    """Return the forwards of each network that a game needs."""
    calls, pieces = [0] * len(game.networks), game.plan.accumulate
    for iteration in range(ITERATIONS):
        due = [number for number, phase in enumerate(game.engine.phases) if phase.due(iteration)]
        movers = [{p for player in game.engine.phases[n].players for p in player.parameters} for n in due]
        whole = Needs(game, calls)
        for place, number in enumerate(due):
            later = set().union(*movers[place + 1 :]) if game.plan.share and pieces == 1 else set()
            for needs in [whole] if pieces == 1 else [Needs(game, calls) for _ in range(pieces)]:
                count(game, needs, number, movers[place], later)
    return calls


def count(game: RandomGame, needs: Needs, number: int, movers: set, later: set) -> None:
    """Count what one phase needs on one piece of the batch."""
    needs.turn += 1
    players = game.movers(game.plan.phases[number])
    for group in [group for player in players for group in game.plan.phases[number][player]]:
        for node in group:
            needs.read(node, movers, later)
        if len(players) == 1 and game.plan.separable[number]:
            needs.spent(movers)
    needs.spent(movers)
    needs.moved(movers)
