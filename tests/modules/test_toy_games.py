"""Two games that no one ships, in Lightning: three players who move at once, and two duels that share a batch alone."""

from __future__ import annotations

from functools import partial

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus

from gan_lightning import load
from gan_lightning.augment import ADA
from gan_lightning.callbacks import SampleGrid
from gan_lightning.cli.train import _finish
from gan_lightning.data import Digits, Ring
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluation_callback import attach
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.inference.producers import Producer, Samples
from gan_lightning.losses import Hinge, NonSaturating
from gan_lightning.modules.duel import Duel
from gan_lightning.modules.game import Game
from gan_lightning.modules.gan import GAN
from gan_lightning.networks import DCGANBackbone, DCGANGenerator, Discriminator, MLP2dBackbone, MLP2dGenerator
from gan_lightning.networks.heads import AuxiliaryClassifierHead, InfoHead
from gan_lightning.regularizers import R1, LeCam
from gan_lightning.training.engine import Phase, Terms
from gan_lightning.training.step import Step
from tests.conftest import Rows, fit

# Three at once ------------------------------------------------------------------------------------------------------


class Judge(nn.Module):
    """Tells real from made, and what it saw on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.last = nn.Sequential(nn.Linear(2, 8), nn.Tanh()), nn.Linear(8, 1)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        features = self.trunk(points)
        return self.last(features).squeeze(1), features


class Autoencoder(Game):
    """VAE-GAN, Larsen et al. 2015, arXiv 1512.09300: three players, three losses, one phase.

    got: the gradients that each player's optimiser gets, step after step; batches: what they were of.
    """

    def __init__(self, **options) -> None:
        super().__init__(**options)
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(2, 4), nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        self.judge, self.got, self.batches, self.forwards = Judge(), {}, [], []
        for name, network in self.networks().items():
            self.optimizer_factories[name] = partial(self.noted, name)
            network.register_forward_hook(lambda *_, name=name: self.forwards.append(name))

    def noted(self, name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(parameters, lr=0.1)
        several = self.got.setdefault(name, [])
        optimizer.register_step_pre_hook(lambda *_: several.append([p.grad.clone() for p in parameters]))
        return optimizer

    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder, "judge": self.judge}

    def moved_by(self) -> dict[str, list[nn.Parameter]]:
        return {name: list(network.parameters()) for name, network in self.networks().items()}

    def phases(self) -> list[Phase]:
        losses = {"encoder": self.encoder_loss, "decoder": self.decoder_loss, "judge": self.judge_loss}
        return [Phase("all", {self.players[name]: loss for name, loss in losses.items()})]

    def code(self, step: Step) -> tuple[Tensor, Tensor]:
        return step.value("code", lambda: step.run(self.encoder, step.batch["image"]).chunk(2, 1))

    def made(self, step: Step) -> tuple[Tensor, Tensor]:
        """What is decoded of codes, and of noise."""
        mean, log_variance = self.code(step)
        codes = mean + (log_variance / 2).exp() * step.normal("code", 2)
        return step.value("made", lambda: tuple(step.run(self.decoder, z) for z in (codes, step.normal("noise", 2))))

    def judged(self, step: Step) -> list[tuple[Tensor, Tensor]]:
        points = (step.batch["image"], *self.made(step))
        return step.value("judged", lambda: [step.run(self.judge, p) for p in points])

    def adversarial(self, step: Step) -> Tensor:
        real, *fakes = (logits for logits, _ in self.judged(step))
        return softplus(-real).mean() + sum(softplus(fake).mean() for fake in fakes)

    def difference(self, step: Step) -> Tensor:
        (_, real), (_, again), _ = self.judged(step)
        return mse_loss(again, real)

    def encoder_loss(self, step: Step) -> Terms:
        mean, log_variance = self.code(step)
        self.batches.append({name: values.clone() for name, values in step.batch.items()})
        divergence = (mean.square() + log_variance.exp() - log_variance - 1).sum(1).mean() / 2
        return {"divergence": divergence, "difference": self.difference(step)}

    def decoder_loss(self, step: Step) -> Terms:
        return {"decoder": 0.5 * self.difference(step) - self.adversarial(step)}

    def judge_loss(self, step: Step) -> Terms:
        return {"judge": self.adversarial(step)}


def ring() -> Ring:
    return Ring(num_points=256, batch_size=32)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}])
def test_each_of_three_gets_its_own_losss_gradients_out_of_one_forward(options):
    game, alone = Autoencoder(seed=5, **options), Autoencoder()
    fit(game, ring(), batches=3)
    assert game.forwards == ["encoder", "decoder", "decoder", "judge", "judge", "judge"] * 3 * options.get(
        "accumulate", 1
    )
    for iteration in range(3):
        step = whole(game, iteration)
        losses = {"encoder": alone.encoder_loss, "decoder": alone.decoder_loss, "judge": alone.judge_loss}
        moves = {}
        for name, loss in losses.items():
            total, own = sum(loss(step).values()), list(alone.networks()[name].parameters())
            moves[name] = torch.autograd.grad(total, own, retain_graph=True)
            others = [p for other, network in alone.networks().items() if other != name for p in network.parameters()]
            reached = torch.autograd.grad(total, others, retain_graph=True, allow_unused=True)
            assert any(gradient is not None and gradient.any() for gradient in reached)  # which none of these gets
            torch.testing.assert_close(game.got[name][iteration], list(moves[name]), rtol=1e-4, atol=1e-6)
        for name, gradients in moves.items():
            with torch.no_grad():
                for parameter, gradient in zip(alone.networks()[name].parameters(), gradients, strict=True):
                    parameter -= 0.1 * gradient


def whole(game: Autoencoder, iteration: int) -> Step:
    """Return the step of an iteration as it was before it was cut into pieces."""
    pieces = game.options.accumulate
    several = game.batches[iteration * pieces : (iteration + 1) * pieces]
    return Step({"image": torch.cat([batch["image"] for batch in several])}, seed=5, iteration=iteration)


def test_a_game_that_makes_no_samples_trains_and_is_not_evaluated(tmp_path, capsys):
    game = Autoencoder()
    trainer = fit(game, ring(), callbacks=[SampleGrid()], default_root_dir=tmp_path)
    assert not [*tmp_path.glob("*.png")] and SampleGrid().pictures(trainer, game) == {}
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    _finish(game, tmp_path)
    assert "more samples" not in capsys.readouterr().out
    with pytest.raises(UserError, match=r"makes no samples, it has no producers: leave metrics out"):
        attach(Evaluator({}, ring(), None), game)


def test_flags_that_count_optimiser_steps_are_refused_by_a_plain_trainer():
    with pytest.raises(UserError, match=r"trainer.max_steps has no effect on a GAN.*use max_kimg"):
        fit(Autoencoder(), ring(), max_steps=9)


# Networks by other names ---------------------------------------------------------------------------------------------


class Named(Game):
    """A duel whose networks are a decoder and a critic."""

    averaged = ("decoder",)

    def __init__(self) -> None:
        super().__init__()
        self.decoder, self.critic = MLP2dGenerator(latent_dim=2), Discriminator(MLP2dBackbone())
        self.duel = Duel(self.decoder, self.critic, NonSaturating())
        self.keep_averages()

    def networks(self) -> dict[str, nn.Module]:
        return {"decoder": self.decoder, "critic": self.critic}

    def duels(self) -> list[Duel]:
        return [self.duel]

    def producers(self, seed: int = 0, raw: bool = False) -> dict[str, Producer]:
        return {"samples": Samples(self.decoder if raw else self.decoder_ema, seed, averaged=not raw)}


def test_networks_may_have_any_name(tmp_path):
    game = Named()
    fit(game, ring()).save_checkpoint(tmp_path / "last.ckpt")
    evaluator = Evaluator({}, ring(), None)
    for raw in (False, True):
        evaluator.raw = raw
        attach(evaluator, game)
        assert evaluator.discriminator is game.critic
    loaded = load(tmp_path / "last.ckpt", network="decoder")
    assert torch.equal(loaded.sample(5, seed=1), game.sample(0, 5, seed=1))
    judge = loaded.sampler(rejection=True).discriminator
    assert all(torch.equal(value, game.critic.state_dict()[name]) for name, value in judge.state_dict().items())


# Two duels ----------------------------------------------------------------------------------------------------------


def duel(name: str) -> Duel:
    """Return a duel of its own kind with networks, R1, ADA and a head that has terms."""
    torch.manual_seed(ord(name))
    kinds = {
        "a": (
            10,
            partial(AuxiliaryClassifierHead, num_classes=10),
            NonSaturating(),
            {"r1": R1(every=2), "lecam": LeCam()},
        ),
        "b": (0, partial(InfoHead, categories=(3,), continuous=1, width=8), Hinge(), {"r1": R1(weight=0.5)}),
    }
    classes, head, loss, regularizers = kinds[name]
    made = Duel(
        DCGANGenerator(8, 1, classes, latent_dim=8, width=8, norm="layer"),
        Discriminator(DCGANBackbone(8, 1, width=8, norm="layer"), head),
        loss,
        regularizers=regularizers,
        augment=ADA(p=0.3, target=0.1, interval=2, kimg=1),
        name=name,
        players={role: f"{role} {name}" for role in ("generator", "discriminator")},
    )
    made.share_codes()
    return made


class Duels(Game):
    """Any number of duels that know nothing of each other."""

    def __init__(self, *duels: Duel, **options) -> None:
        super().__init__(**options)
        self.several = list(duels)
        self.parts = nn.ModuleDict(self.networks())
        self.augments = nn.ModuleDict({duel.name: duel.augment for duel in duels})
        self.states = nn.ModuleDict({duel.name: duel.stateful_regularizers() for duel in duels})

    def networks(self) -> dict[str, nn.Module]:
        return {duel.players[role]: getattr(duel, role) for duel in self.several for role in duel.players}

    def duels(self) -> list[Duel]:
        return self.several


class Alone(GAN):
    """A GAN whose duel goes by a name, so that its random numbers have that in their keys."""

    def __init__(self, duel: Duel, **options) -> None:
        rules = duel.loss, duel.generator_loss, duel.regularizers, duel.augment
        super().__init__(duel.generator, duel.discriminator, *rules, ema_kimg=None, **options)
        self.duel.name, self.duel.players = duel.name, duel.players

    phases = Game.phases


def digits() -> Digits:
    return Digits(image_size=8, batch_size=16)


def tensors(networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{player}.{name}": t for player, network in networks.items() for name, t in network.state_dict().items()}


def test_two_duels_in_one_game_are_two_gans_alone():
    both = Duels(duel("a"), duel("b"), seed=3, clip_norm=5.0)
    rows = fit(both, digits(), batches=6, log_every=2).loggers[0].rows
    there = tensors(both.networks())
    names = set().union(*rows)
    for name in "ab":
        alone = Alone(duel(name), seed=3, clip_norm=5.0)
        before = tensors({role: getattr(alone.duel, role) for role in ("generator", "discriminator")})
        other = fit(alone, digits(), batches=6, log_every=2).loggers[0].rows
        mine = {key: key for row in other for key in row}
        assert mine.keys() <= names
        assert [
            {key: row[key] for key in mine if key in row} for row in rows
        ] == other  # every curve, to the last digit
        after = {f"{role} {name}": getattr(alone, role) for role in ("generator", "discriminator")}
        for key, value in tensors(after).items():
            assert torch.equal(there[key], value), key
        assert any(
            not torch.equal(value, before[key]) for key, value in tensors({"generator": alone.generator}).items()
        )
        assert torch.equal(both.augments[name].p, alone.augment.p) and alone.augment.p != 0.3
    curves = {f"{name}/{curve}" for name in "ab" for curve in ("D(x)", "D(G(z))", "augment/p", "augment/sign")}
    terms = {f"loss/{name}/{term}" for name in "ab" for term in ("generator", "discriminator", "r1")}
    heads = {"loss/a/classification_generator", "loss/a/lecam", "loss/b/categories_generator"}
    norms = {f"gradient_norm/{role} {name}" for name in "ab" for role in ("generator", "discriminator")}
    assert names >= curves | terms | heads | norms


def test_duels_of_one_name_are_a_sentence():
    """The second would read the logits of the first: values have the duel's name alone."""
    game = Duels(duel("a"), duel("b"))
    for one in game.several:
        one.name = ""
    with pytest.raises(UserError, match="2 duels are called ''"):
        fit(game, digits())


@pytest.mark.parametrize(("forgotten", "said"), [("augments", "ADA of a"), ("states", "LeCam of a"), ("parts", "of a")])
def test_a_part_whose_state_the_game_would_not_save_is_a_sentence(forgotten, said):
    game = Duels(duel("a"), duel("b"))
    delattr(game, forgotten)
    with pytest.raises(UserError, match=f"{said} has a state, which the game would not save"):
        fit(game, digits())


def test_running_values_of_two_duels_are_kept_apart():
    game = Duels(duel("a"), duel("b"))
    game.several[1].regularizers = game.several[0].regularizers
    with pytest.raises(UserError, match="LeCam keeps running values and is in two duels"):
        fit(game, digits())


def trainer(epochs: int) -> L.Trainer:
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(accelerator="cpu", max_epochs=epochs, limit_train_batches=3, logger=Rows(), **quiet)


def test_two_duels_resumed_are_two_duels_uninterrupted(tmp_path):
    whole, first, resumed = (Duels(duel("a"), duel("b"), seed=3) for _ in range(3))
    trainer(2).fit(whole, datamodule=digits())
    half = trainer(1)
    half.fit(first, datamodule=digits())
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(2).fit(resumed, datamodule=digits(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert resumed.iteration == 6 and resumed.images_seen == 96
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    for one, other in zip(whole.optimizers(), resumed.optimizers(), strict=True):
        torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    described = torch.load(tmp_path / "half.ckpt", weights_only=True)["gan_lightning"]["networks"]
    assert described.keys() == whole.networks().keys()
    assert any(not torch.equal(value, first.state_dict()[key]) for key, value in whole.state_dict().items())
