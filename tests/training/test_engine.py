"""The engine: who moves when, what is computed once, and that pieces add up to the whole."""

import copy
import gc
import math
import weakref

import pytest
import torch
from torch import nn

from gan_lightning.losses import NonSaturating, Relativistic
from gan_lightning.modules.duel import Duel
from gan_lightning.networks import Discriminator as Composed
from gan_lightning.networks import MLP2dBackbone, MLP2dGenerator
from gan_lightning.streams import generator as stream
from gan_lightning.training.average import ExponentialMovingAverage, frozen_copy
from gan_lightning.training.engine import Engine, Phase
from gan_lightning.training.player import Player, correct_for_lazy_steps
from gan_lightning.training.scalars import Scalars
from gan_lightning.training.schedules import Cosine, LinearDecay
from gan_lightning.training.step import Rows, Step
from tests.duel_step import begin, moved


class Counting(nn.Module):
    """Counts the forward passes of a network, and forwards its attributes."""

    def __init__(self, network):
        super().__init__()
        self.network, self.calls = network, 0
        self.latent_dim, self.num_classes = getattr(network, "latent_dim", 0), getattr(network, "num_classes", 0)

    def forward(self, *args):
        self.calls += 1
        return self.network(*args)


class Game:
    """A small GAN on points, played by the engine with plain SGD."""

    def __init__(self, loss=None, d_steps=1, **options):
        torch.manual_seed(0)
        self.generator = Counting(MLP2dGenerator(width=8))
        self.discriminator = Counting(Composed(MLP2dBackbone(width=8)))
        self.loss = loss or NonSaturating()
        self.players = {
            name: Player(name, network.parameters(), torch.optim.SGD(network.parameters(), lr=0.1))
            for name, network in (("generator", self.generator), ("discriminator", self.discriminator))
        }
        self.duel = Duel(self.generator, self.discriminator)
        phases = [
            Phase("discriminator", {self.players["discriminator"]: self.discriminator_loss}),
            Phase("generator", {self.players["generator"]: self.generator_loss}, every=d_steps),
        ]
        self.engine = Engine(phases, **options)

    def discriminator_loss(self, step):
        step = self.duel.at(step)
        return {"discriminator": self.loss.discriminator(step.real_logits, step.fake_logits)}

    def generator_loss(self, step):
        step = self.duel.at(step)
        real = step.real_logits if self.loss.needs_real else None
        return {"generator": self.loss.generator(real, step.fake_logits)}

    def step(self, iteration=0, images=None):
        images = torch.randn(8, 2, generator=stream(1, iteration)) if images is None else images
        return Step({"image": images}, iteration=iteration)

    def run(self, iterations=1):
        for iteration in range(iterations):
            self.engine.run(self.step(iteration))
        return self

    def weights(self, name):
        return [p.detach().clone() for p in self.players[name].parameters]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(("mover", "other"), [("discriminator", "generator"), ("generator", "discriminator")])
def test_a_turn_moves_exactly_its_player(mover, other):
    game = Game()
    game.engine.phases = [phase for phase in game.engine.phases if phase.players[0].name == mover]
    before = {name: game.weights(name) for name in game.players}
    game.run()
    assert same(game.weights(other), before[other])
    assert not any(torch.equal(a, b) for a, b in zip(game.weights(mover), before[mover], strict=True) if a.abs().sum())
    assert all(p.grad is None for p in game.players[other].parameters)  # not even computed


def test_the_generator_plays_after_every_d_steps():
    game = Game(d_steps=3)
    moved, before = [], game.weights("generator")
    for iteration in range(6):
        game.engine.run(game.step(iteration))
        moved.append(not same(game.weights("generator"), before))
        before = game.weights("generator")
    assert moved == [False, False, True, False, False, True]


def test_one_generator_forward_serves_both_players():
    game = Game().run(4)
    assert game.generator.calls == 4
    assert game.discriminator.calls == 4 * 3  # real and fake for itself, fake anew for the generator
    relativistic = Game(Relativistic()).run(4)
    assert relativistic.discriminator.calls == 4 * 4


def test_the_generators_turn_sees_the_moved_discriminator():
    game = Game()
    step = game.step()
    seen = []
    game.engine.phases[1] = Phase(
        "generator",
        {
            game.players["generator"]: lambda s: (
                seen.append(game.duel.at(s).fake_logits.detach().clone()),
                game.generator_loss(s),
            )[1]
        },
    )
    game.engine.run(step)
    fresh = game.duel.at(Step(step.batch))
    # The generator has moved since, so judge the very fakes that were shown.
    torch.testing.assert_close(seen[0], game.discriminator(shown_fakes(game)).logits)
    assert fresh.latents.equal(game.duel.at(step).latents)


def shown_fakes(game):
    untouched = Game()
    return untouched.generator(untouched.duel.at(untouched.step()).latents)


def test_sharing_the_fakes_changes_no_number():
    shared, separate = Game(), Game(share=False)
    for name in ("generator", "discriminator"):
        assert same(shared.run(3).weights(name), separate.run(3).weights(name)) or all(
            torch.allclose(a, b, atol=1e-6) for a, b in zip(shared.weights(name), separate.weights(name), strict=True)
        )


@pytest.mark.parametrize("pieces", [2, 4])
def test_a_batch_in_pieces_is_the_same_step(pieces):
    whole, parts = Game().run(5), Game(accumulate=pieces).run(5)
    for name in ("generator", "discriminator"):
        for one, other in zip(whole.weights(name), parts.weights(name), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_the_gradient_norm_is_clipped_to_the_limit():
    game = Game(clip_norm=1e-3)
    before = game.weights("discriminator")
    game.engine.run(game.step(), measure=True)
    moved = torch.cat([(a - b).flatten() for a, b in zip(game.weights("discriminator"), before, strict=True)]).norm()
    assert moved.item() == pytest.approx(0.1 * 1e-3, rel=1e-3)  # lr times the limit
    assert game.engine.scalars.flush()["gradient_norm/discriminator"] > 1e-3  # the norm as it was


def test_stale_logits_are_dropped_when_a_player_moves():
    game = Game()
    step = begin(game.duel.at(game.step()), "discriminator")
    logits, fakes = step.real_logits, step.fake
    moved(step, "generator")
    assert step.real_logits is logits and step.fake is not fakes
    moved(step, "discriminator")
    assert step.real_logits is not logits


def test_rows_of_two_processes_make_the_global_draw():
    game, batch = Game(), {"image": torch.zeros(4, 2)}
    whole = game.duel.at(game.step(3))
    halves = [game.duel.at(Step(batch, iteration=3, rows=rows)) for rows in (Rows(0, 4, 8), Rows(4, 8, 8))]
    assert torch.equal(whole.latents, torch.cat([half.latents for half in halves]))
    assert torch.equal(whole.uniform("x", 1), torch.cat([half.uniform("x", 1) for half in halves]))


def test_streams_depend_on_every_part_of_their_key():
    keys = ((0, 1, "a"), (0, 1, "b"), (0, 2, "a"), (1, 1, "a"), (0, 1, "a"))
    draws = [torch.rand(4, generator=stream(*key)) for key in keys]
    assert torch.equal(draws[0], draws[4])
    assert len({tuple(d.tolist()) for d in draws}) == 4


def test_adam_under_a_lazy_regulariser_has_stylegan2s_corrected_values():
    parameters = [nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.Adam(parameters, lr=0.002, betas=(0.0, 0.99))
    correct_for_lazy_steps(optimizer, [16])
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1.88235e-3, rel=1e-5)
    assert optimizer.param_groups[0]["betas"][1] == pytest.approx(0.990585, abs=1e-6)
    plain = torch.optim.SGD(parameters, lr=0.1)
    correct_for_lazy_steps(plain, [16])
    assert plain.param_groups[0]["lr"] == 0.1


def test_half_of_an_average_is_gone_after_its_half_life():
    source, batch = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)), 32
    target = frozen_copy(source)
    start = target[0].weight.item()
    with torch.no_grad():
        source[0].weight.fill_(start + 1)
        source[1].running_mean.fill_(5)
    average = ExponentialMovingAverage(source, target, half_life=3200, rampup=None)
    for index in range(100):
        average.update(batch, index * batch)
    assert target[0].weight.item() == pytest.approx(start + 0.5, abs=1e-4)
    assert target[1].running_mean.item() == 5  # copied
    beta = 0.5 ** (32 / 10_000)
    assert beta == pytest.approx(0.9977844, abs=1e-7)  # the value of stylegan2's EMA


def test_the_rampup_forgets_the_start():
    source = nn.Linear(1, 1)
    target = frozen_copy(source)
    with torch.no_grad():
        source.weight.fill_(3.0)
    ExponentialMovingAverage(source, target, half_life=1e6, rampup=0.05).update(64, images_seen=0)
    assert target.weight.item() == 3.0


def test_scalars_are_means_between_flushes():
    scalars = Scalars()
    for value in (1.0, 2.0, 6.0):
        scalars.add("loss", torch.tensor(value))
    scalars.add("once", torch.tensor(4.0))
    assert scalars.flush() == {"loss": 3.0, "once": 4.0}
    assert scalars.flush() == {}


def test_schedules_over_the_run():
    decay = LinearDecay(start=0.5, final=0.2)
    assert [decay(x) for x in (0, 0.5, 0.75, 1, 2)] == pytest.approx([1, 1, 0.6, 0.2, 0.2])
    cosine = Cosine(final=0.25)
    assert [cosine(x) for x in (0, 0.5, 1, 3)] == pytest.approx([1, 0.625, 0.25, 0.25])
    assert math.isclose(Cosine()(1.0), 0, abs_tol=1e-12)


def test_a_player_follows_its_schedule():
    game = Game()
    player = copy.copy(game.players["generator"])
    player.schedule = LinearDecay()
    player.set_progress(0.25)
    assert player.learning_rate == pytest.approx(0.075)
    player.set_progress(0.5)  # from the base rate, not from the last one
    assert player.learning_rate == pytest.approx(0.05)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_played_step_and_its_tensors_are_freed_at_once(accumulate):
    """Without waiting for the garbage collector: on a GPU it does not know how large tensors are."""
    game = Game(accumulate=accumulate)
    step = game.step()
    gone = weakref.ref(step), weakref.ref(step.memory), weakref.ref(step.batch["image"])
    gc.collect()
    gc.disable()
    try:
        game.engine.run(step)
        del step
        assert [reference() for reference in gone] == [None, None, None]
    finally:
        gc.enable()
