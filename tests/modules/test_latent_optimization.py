"""LOGAN's step on the latents: closed forms, both players' gradients through it, and no step as the plain game."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from gan_lightning import GAN
from gan_lightning.data import Ring
from gan_lightning.errors import UserError
from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks import Discriminator, MLP2dBackbone, MLP2dGenerator
from gan_lightning.networks.heads import InfoHead
from gan_lightning.regularizers import R1, R2
from tests.conftest import fit
from tests.duel_step import duel_step

EVERYONE = torch.zeros(1, 1)


class Factor(nn.Module):
    """x -> theta x: the generator and the critic of a bilinear game."""

    latent_dim, num_classes = 1, 0

    def __init__(self, theta, distribution="normal"):
        super().__init__()
        self.theta, self.latent_distribution = nn.Parameter(torch.tensor(theta)), distribution

    def forward(self, values, labels=None):
        return self.theta * values


def game(player, optimizer, distribution="normal"):
    generator, critic = Factor(0.7, distribution), Factor(0.3)
    step = duel_step(generator, critic, {"image": torch.zeros(8, 1)}, player, latent_optimizer=optimizer)
    return step, generator, critic


def test_a_linear_score_moves_latents_along_its_gradient():
    z, a = torch.randn(5, 3), torch.tensor([1.0, 2.0, -2.0])  # |a|^2 = 9
    natural = LatentOptimization(step_size=0.9, damping=5.0, share=1.0)(z, lambda z: z @ a, EVERYONE)
    torch.testing.assert_close(natural, z + 0.9 / 14 * a)
    plain = LatentOptimization(step_size=0.9, damping=None, share=1.0)(z, lambda z: z @ a, EVERYONE)
    torch.testing.assert_close(plain, z + 0.9 * a)


def test_each_sample_takes_its_own_gradients_step():
    z = torch.tensor([[1.0], [2.0]])
    moved = LatentOptimization(step_size=1.0, damping=1.0, share=1.0)(z, lambda z: z.square().squeeze(1) / 2, EVERYONE)
    torch.testing.assert_close(moved, torch.tensor([[1 + 1 / 2], [2 + 2 / 5]]))


def test_only_the_share_moves():
    z, uniform = torch.zeros(4, 1), torch.tensor([[0.1], [0.5], [0.79], [0.8]])
    moved = LatentOptimization(step_size=1.0, damping=None, share=0.8)(z, lambda z: z.squeeze(1), uniform)
    assert moved.flatten().tolist() == [1.0, 1.0, 1.0, 0.0]


def test_uniform_latents_stay_in_their_range():
    step, *_ = game("generator", LatentOptimization(step_size=100.0, damping=None, share=1.0), "uniform")
    torch.testing.assert_close(step.latents, torch.full((8, 1), math.sqrt(3)))


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_both_players_gradients_flow_through_the_step(alpha):
    """f(z') = d g (z + alpha d g), so that df/dg = d z + 2 alpha d^2 g, and df/dd = g z + 2 alpha d g^2."""
    optimizer, d, g = LatentOptimization(step_size=alpha, damping=None, share=1.0), 0.3, 0.7
    step, generator, _ = game("generator", optimizer)
    step.fake_logits.mean().backward()
    expected = d * step.drawn_latents.mean() + 2 * alpha * d**2 * g
    torch.testing.assert_close(generator.theta.grad, expected)
    step, _, critic = game("discriminator", optimizer)
    step.fake_logits.mean().backward()
    torch.testing.assert_close(critic.theta.grad, g * step.drawn_latents.mean() + 2 * alpha * d * g**2)


def test_the_cost_is_the_steps_squared_length():
    optimizer = LatentOptimization(step_size=0.5, damping=None, share=1.0, weight=10.0)
    step, *_ = game("generator", optimizer)
    assert optimizer.cost(step.latents, step.drawn_latents).item() == pytest.approx(10 * (0.5 * 0.3 * 0.7) ** 2)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_codes_stay_as_drawn_and_are_targets_without_a_graph(distribution):
    """Q is asked for the codes that were drawn: moved ones would not be one-hot, and would run towards Q's answer."""
    torch.manual_seed(0)
    critic = Discriminator(MLP2dBackbone(width=16), partial(InfoHead, categories=(3, 2), continuous=2))
    optimizer = LatentOptimization(step_size=10.0, damping=None, share=1.0)
    module = GAN(MLP2dGenerator(latent_dim=9, width=16), critic, latent_optimization=optimizer)
    module.generator.latent_distribution = distribution
    step = duel_step(module.generator, critic, {"image": torch.zeros(8, 2)}, "generator", latent_optimizer=optimizer)
    moved, drawn = step.latents, step.drawn_latents
    assert torch.equal(moved[:, 2:], drawn[:, 2:]) and (moved[:, :2] != drawn[:, :2]).any(1).all()
    assert set(moved[:, 2:7].unique().tolist()) == {0.0, 1.0}
    assert optimizer.cost(moved, drawn) > 0

    told = drawn.clone().requires_grad_()
    step.fake_output.extras["latents"] = told
    sum(critic.head.loss(step.fake_output, None, "generator", False).values()).backward()
    assert told.grad is None and module.generator.layers[0].weight.grad.abs().sum() > 0


def trained(latent_optimization, **options):
    torch.manual_seed(0)
    networks = MLP2dGenerator(width=16), Discriminator(MLP2dBackbone(width=16))
    module = GAN(*networks, latent_optimization=latent_optimization, log_every=1, **options)
    trainer = fit(module, Ring(num_points=256, batch_size=32), batches=4)
    return module, trainer.loggers[0].rows


@pytest.mark.parametrize("options", [{"step_size": 0.0}, {"share": 0.0}])
def test_no_step_is_the_plain_game(options):
    plain, moved = trained(None)[0].state_dict(), trained(LatentOptimization(**options))[0].state_dict()
    for name, value in plain.items():
        torch.testing.assert_close(moved[name], value)


@pytest.mark.parametrize("options", [{}, {"accumulate": 2, "d_steps": 2}, {"regularizers": {"r1": R1(), "r2": R2()}}])
def test_a_game_with_steps_trains_and_reports_their_cost(options):
    plain, _ = trained(None, **options)
    module, rows = trained(LatentOptimization(weight=1.0), **options)
    weights = [m.generator.state_dict()["layers.0.weight"] for m in (plain, module)]
    assert not torch.equal(*weights) and weights[1].isfinite().all()
    assert all(row["loss/latent_step_discriminator"] > 0 for row in rows)
    assert any(row.get("loss/latent_step_generator", 0) > 0 for row in rows)


@pytest.mark.parametrize("options", [{"step_size": -1.0}, {"damping": 0.0}, {"share": 1.5}, {"weight": -1.0}])
def test_values_out_of_range_are_a_sentence(options):
    with pytest.raises(UserError, match="damping is above 0 or null, share lies in"):
        LatentOptimization(**options)
