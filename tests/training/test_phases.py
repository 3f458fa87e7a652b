"""A phase: all backwards before any step, one all-reduce, one update of a scaler; graphs that are out of date."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.training.engine import Engine, Phase
from gan_lightning.training.player import Player
from gan_lightning.training.step import Step

ADAM = {"lr": 0.1, "eps": 1e-3}
OPTIMIZERS = {
    f"{form} {kind.__name__}": partial(kind, **options, **{form: True})
    for kind, options in ((torch.optim.SGD, {"lr": 0.1}), (torch.optim.Adam, ADAM), (torch.optim.AdamW, ADAM))
    for form in ("fused", "foreach")
}


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


class Two:
    """A generator of two layers and a discriminator of two; each loss reads both."""

    def __init__(self, optimizer=sgd) -> None:
        torch.manual_seed(0)
        self.networks = {
            name: nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, out))
            for name, out in (("generator", 2), ("discriminator", 1))
        }
        self.players = {
            name: Player(name, network.parameters(), optimizer(network.parameters()))
            for name, network in self.networks.items()
        }

    def fakes(self, step: Step) -> Tensor:
        return step.value_ahead("fakes", lambda: step.run(self.networks["generator"], step.batch["points"]))

    def logits(self, step: Step) -> Tensor:
        return step.value("logits", lambda: step.run(self.networks["discriminator"], self.fakes(step)))

    def apart(self, step: Step) -> dict[str, Tensor]:
        return {"apart": self.logits(step).square().mean()}

    def near(self, step: Step) -> dict[str, Tensor]:
        return {"near": self.logits(step).exp().mean() + self.fakes(step).mean()}

    def in_turns(self, **losses) -> list[Phase]:
        sides = {"discriminator": self.apart, "generator": self.near} | losses
        return [Phase(name, {self.players[name]: loss}) for name, loss in sides.items()]

    def at_once(self) -> list[Phase]:
        sides = {self.players["discriminator"]: self.apart, self.players["generator"]: self.near}
        return [Phase("both", sides)]

    def parameters(self) -> list[Tensor]:
        return [p.detach().clone() for network in self.networks.values() for p in network.parameters()]


def step(iteration: int = 0) -> Step:
    points = torch.randn(4, 2, generator=torch.Generator().manual_seed(iteration))
    return Step({"points": points}, iteration=iteration)


# Graphs that are out of date -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_tensor_that_a_loss_keeps_from_before_a_move_is_refused(name):
    """Fused optimisers write past autograd's notice: without the engine's own the gradients would be wrong in silence.

    The user sees one sentence, which names the phase, below PyTorch's own.
    """
    game, kept = Two(OPTIMIZERS[name]), []

    def keeping(of: Step) -> dict[str, Tensor]:
        discriminator = game.networks["discriminator"].requires_grad_(True)
        kept.append(discriminator(game.networks["generator"].requires_grad_(True)(of.batch["points"])))
        return game.apart(of)

    phases = game.in_turns(discriminator=keeping, generator=lambda of: {"near": kept[-1].exp().mean()})
    with pytest.raises(RuntimeError, match="Phase generator went backward through a graph that is out of date") as told:
        Engine(phases).run(step())
    assert "modified by an inplace operation" in str(told.value.__cause__)


def test_a_tensor_that_a_loss_keeps_from_before_a_backward_is_refused():
    game, kept = Two(), []

    def keeping(of: Step) -> dict[str, Tensor]:
        kept.append(game.logits(of))
        return game.apart(of)

    phases = game.in_turns(discriminator=keeping, generator=lambda of: {"near": kept[-1].exp().mean()})
    phases[1] = Phase("again", {game.players["discriminator"]: lambda of: {"near": kept[-1].exp().mean()}})
    with pytest.raises(RuntimeError, match=r"Phase again went backward .* a backward has used it up"):
        Engine(phases, optimizer_step=lambda player: None).run(step())


def test_other_errors_of_a_backward_are_told_as_they_are():
    def backward(total: Tensor) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        Engine(Two().in_turns(), backward=backward).run(step())


@pytest.mark.parametrize("at_once", [False, True])
def test_what_hangs_on_this_turn_and_on_a_later_one_is_made_again_for_that(at_once):
    """Its graph holds that of the later player's value, which this turn's backward frees."""
    game = Two()
    third = nn.Linear(2, 2)
    player = Player("third", third.parameters(), sgd(third.parameters()))

    def codes(of: Step) -> Tensor:
        between = lambda: of.value("between", lambda: game.fakes(of) * 2)  # noqa: E731
        return of.value_ahead("codes", lambda: of.run(third, between()))

    own = {player: lambda of: {"third": codes(of).square().mean()}}
    first = own | ({game.players["discriminator"]: game.apart} if at_once else {})
    phases = [Phase("first", first), Phase("second", {game.players["generator"]: game.near})]
    before, calls = game.parameters(), []
    game.networks["generator"].register_forward_hook(lambda *_: calls.append(1))
    Engine(phases).run(step())
    assert len(calls) == 2 and not any(map(torch.equal, before[:4], game.parameters()[:4]))


# Order ---------------------------------------------------------------------------------------------------------------


def played(phases: list[Phase], **options) -> list[str]:
    """Play one iteration; return what was done, in order."""
    done: list[str] = []

    def backward(total: Tensor, **further) -> None:
        done.append("backward")
        total.backward(**further)

    def optimizer_step(player: Player) -> None:
        done.append(f"step {player.name}")
        player.optimizer.step()

    def reduce(parameters) -> None:
        done.append(f"reduce {len(parameters)}")

    engine = Engine(
        phases,
        backward=backward,
        optimizer_step=optimizer_step,
        reduce_gradients=reduce,
        after_steps=lambda: done.append("update"),
        unscale=lambda optimizer: done.append("unscale"),
        **options,
    )
    engine.run(step())
    return done


BOTH = ["step discriminator", "step generator"]


@pytest.mark.parametrize("accumulate", [1, 2, 4])
@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_all_backwards_of_a_phase_come_before_any_of_its_steps(accumulate, clip_norm):
    options = {"accumulate": accumulate, "clip_norm": clip_norm}
    clips = ["unscale"] * (clip_norm is not None)
    together = played(Two().at_once(), **options)
    assert together == ["backward"] * 2 * accumulate + ["reduce 8", *clips * 2, *BOTH, "update"]
    in_turns = played(Two().in_turns(), **options)
    assert in_turns == [
        done
        for name in ("discriminator", "generator")
        for done in (*["backward"] * accumulate, "reduce 4", *clips, f"step {name}", "update")
    ]


def test_groups_of_terms_go_backward_one_by_one_where_they_may_and_all_before_the_step():
    game = Two()

    def in_groups(of: Step):
        yield game.apart(of)
        yield game.near(of)

    game.networks["generator"].requires_grad_(False)  # what nobody moves is frozen
    player = game.players["discriminator"]
    assert played([Phase("whole", {player: in_groups})])[:2] == ["backward", "reduce 4"]
    assert played([Phase("parts", {player: in_groups}, separable=True)])[:3] == ["backward", "backward", "reduce 4"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_players_that_move_at_once_see_each_other_as_they_were(accumulate):
    """Each gets its own loss's gradients, out of one forward of each network a piece."""
    game, by_hand = Two(), Two()
    calls = []
    for network in game.networks.values():
        network.register_forward_hook(lambda *_: calls.append(1))
    Engine(game.at_once(), accumulate=accumulate).run(step())
    assert len(calls) == 2 * accumulate
    whole, moves = step(), []
    for name, loss in (("generator", by_hand.near), ("discriminator", by_hand.apart)):
        own = list(by_hand.networks[name].parameters())
        total = loss(Step(whole.batch))[{"generator": "near", "discriminator": "apart"}[name]]
        moves += [(p, 0.1 * g) for p, g in zip(own, torch.autograd.grad(total, own), strict=True)]
    with torch.no_grad():
        for parameter, move in moves:
            parameter -= move
    torch.testing.assert_close(game.parameters(), by_hand.parameters())


def test_two_players_do_not_move_one_parameter_at_once():
    network = nn.Linear(2, 1)
    first, second = (Player(name, network.parameters(), sgd(network.parameters())) for name in ("first", "second"))
    loss = lambda of: {"loss": of.run(network, of.batch["points"]).mean()}  # noqa: E731
    with pytest.raises(UserError, match=r"Phase both moves a parameter \(1, 2\) that first and second share"):
        Engine([Phase("both", {first: loss, second: loss})])
    Engine([Phase("first", {first: loss}), Phase("second", {second: loss})]).run(step())


# float16's scaler ----------------------------------------------------------------------------------------------------


class Noted:
    """Optimisers' steps through a scaler; keeps the gradients that the optimisers get, by the player's name."""

    def __init__(self, game: Two, **options) -> None:
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        self.got: dict[str, list[Tensor]] = {}
        for name, player in game.players.items():
            player.optimizer.register_step_pre_hook(partial(self.note, name))
        self.engine = Engine(
            game.at_once(),
            backward=lambda total, **further: self.scaler.scale(total).backward(**further),
            unscale=self.scaler.unscale_,
            **options,
        )
        self.engine.optimizer_step = lambda player: self.scaler.step(player.optimizer)

    def note(self, name: str, optimizer: torch.optim.Optimizer, *_) -> None:
        self.got[name] = [p.grad.clone() for group in optimizer.param_groups for p in group["params"]]


def unscaled(**options) -> dict[str, list[Tensor]]:
    """Return the gradients without any scaler, by player."""
    game, got = Two(), {}

    def optimizer_step(player: Player) -> None:
        got[player.name] = [p.grad.clone() for p in player.parameters]

    Engine(game.at_once(), optimizer_step=optimizer_step, **options).run(step())
    return got


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"clip_norm": 0.05}, {"accumulate": 2, "clip_norm": 0.05}])
def test_under_a_scaler_the_optimisers_see_float32s_gradients(options):
    game = Noted(Two(), **options)
    updates = []
    game.engine.after_steps = lambda: updates.append(game.scaler.update())
    game.engine.run(step())
    torch.testing.assert_close(game.got, unscaled(**options))
    assert len(updates) == 1
    game.engine.run(step(1))  # the scaler counts two steps of two players as two iterations of its own
    assert game.scaler._growth_tracker.item() == 2


def test_an_update_after_each_optimiser_would_be_wrong():
    """It lets the scaler forget that the second player's gradients are unscaled already, so they are once more."""
    game = Noted(Two(), clip_norm=1e6)

    def step_and_update(player: Player) -> None:
        game.scaler.step(player.optimizer)
        game.scaler.update()

    game.engine.optimizer_step = step_and_update
    game.engine.run(step())
    right = unscaled()
    torch.testing.assert_close(game.got["discriminator"], right["discriminator"])
    torch.testing.assert_close([g * 2**10 for g in game.got["generator"]], right["generator"])


def test_a_player_whose_gradients_overflow_stays_and_the_other_steps():
    game = Two()
    noted = Noted(game)
    noted.engine.after_steps = noted.scaler.update
    game.near = lambda of: {"near": game.fakes(of).mean() * float("inf")}
    noted.engine = Engine(game.at_once(), backward=noted.engine.backward, after_steps=noted.scaler.update)
    noted.engine.optimizer_step = lambda player: noted.scaler.step(player.optimizer)
    before = game.parameters()
    noted.engine.run(step())
    same = list(map(torch.equal, before, game.parameters()))
    assert same[:4] == [True] * 4 and noted.scaler.get_scale() == 2.0**9
    assert noted.got.keys() == {"discriminator"}
