"""Penalties against closed forms on linear and quadratic critics, and on the Dirac-GAN."""

import math

import pytest
import torch
from torch import nn

from gan_lightning.errors import UserError
from gan_lightning.regularizers import R1, R2, GradientPenalty, OneSidedGradientPenalty, WeightClipping
from tests.duel_step import duel_step


class Linear(nn.Module):
    """D(x) = w x."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, images, labels=None):
        return images.flatten(1) @ self.weight


class Quadratic(nn.Module):
    """D(x) = x A x / 2."""

    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.tensor([[2.0, 1.0], [1.0, 3.0]]))

    def forward(self, images, labels=None):
        return (images @ self.matrix * images).sum(1) / 2


class Points(nn.Module):
    """A generator that returns fixed points plus a parameter."""

    latent_dim, num_classes = 2, 0

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(2))

    def forward(self, z, labels=None):
        return z + self.shift


def step(discriminator, images, shared=frozenset()):
    return duel_step(Points(), discriminator, {"image": images}, "discriminator", shared)


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_a_linear_critic_has_its_weight_as_gradient_everywhere(batch):
    made = step(Linear([3.0, 4.0]), torch.randn(batch, 2))
    assert GradientPenalty(weight=1.0)(made).item() == pytest.approx(16, rel=1e-5)
    assert GradientPenalty(weight=10.0)(made).item() == pytest.approx(160, rel=1e-5)
    assert R1(weight=2.0)(made).item() == pytest.approx(25, rel=1e-5)
    assert R2(weight=2.0)(made).item() == pytest.approx(25, rel=1e-5)


def test_the_gradient_penalty_is_two_sided():
    value = GradientPenalty(weight=1.0)(step(Linear([0.3, 0.4]), torch.randn(5, 2)))
    assert value.item() == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize(("weights", "value"), [([0.3, 0.4], 0.0), ([3.0, 4.0], 16.0)])
def test_the_one_sided_penalty_leaves_small_gradients_alone(weights, value):
    penalty = OneSidedGradientPenalty(weight=1.0)(step(Linear(weights), torch.randn(5, 2)))
    assert penalty.item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("shared", [frozenset(), frozenset({"real"})])
def test_r1_of_a_quadratic_critic(shared):
    images = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    assert R1(weight=1.0)(step(Quadratic(), images, shared)).item() == pytest.approx(18.75)


def test_a_shared_forward_serves_loss_and_penalty_alike():
    """The gradient of loss + R1 is the same with one forward pass as with two."""
    gradients, calls = [], []
    for shared in (frozenset(), frozenset({"real"})):
        critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0))
        torch.manual_seed(0)
        for parameter in critic.parameters():
            nn.init.normal_(parameter)
        counted = Counted(critic)
        made = step(counted, torch.linspace(-1, 1, 8).reshape(4, 2), shared)
        (made.real_logits.mean() + R1(weight=3.0)(made)).backward()
        gradients.append([p.grad for p in critic.parameters() if p.grad is not None])
        calls.append(counted.calls)
    assert calls == [2, 1]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


class Counted(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network, self.calls = network, 0

    def forward(self, images, labels=None):
        self.calls += 1
        return self.network(images)


def test_a_penalty_reaches_no_generator_parameter():
    made = step(Quadratic(), torch.randn(4, 2))
    (GradientPenalty()(made) + R2()(made)).backward()
    assert made.generator.shift.grad is None
    assert made.discriminator.matrix.grad.abs().sum() > 0


def test_the_gradient_of_a_zero_gradient_is_finite():
    critic = Linear([0.0, 0.0])
    GradientPenalty()(step(critic, torch.randn(3, 2))).backward()
    assert torch.isfinite(critic.weight.grad).all()


@pytest.mark.parametrize(("gamma", "radius"), [(0.0, math.sqrt(2) * 1.01**250), (1.0, 1.4061e-10)])
def test_dirac_gan(gamma, radius):
    """D(x) = psi x against a point mass: simultaneous steps spiral out, and contract under R1.

    Mescheder et al. 2018: the radius grows by sqrt(1 + h^2) a step without the penalty, and with it contracts as the
    powers of [[1, h], [-h, 1 - h]], whose eigenvalues have modulus sqrt(1 - h + h^2) = 0.9539.
    """
    theta, h = torch.ones(1, 1, requires_grad=True, dtype=torch.float64), 0.1
    critic = Linear([1.0]).double()
    for _ in range(500):
        made = step(critic, torch.zeros(1, 1, dtype=torch.float64))
        loss = critic(theta.detach()).sum() - critic(made.real).sum()
        if gamma:
            penalty_step = Exact(critic)
            loss = loss + R1(weight=gamma)(penalty_step)
        (down,) = torch.autograd.grad(loss, critic.weight)
        (up,) = torch.autograd.grad(-critic(theta).sum(), theta)
        with torch.no_grad():
            critic.weight -= h * down
            theta -= h * up
    assert torch.hypot(theta.flatten(), critic.weight).item() == pytest.approx(radius, rel=1e-3)


class Exact:
    """A step in float64, which Step.discriminate would lower to float32."""

    def __init__(self, critic):
        self.critic = critic

    def differentiable(self, which):
        images = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
        return images, self.critic(images)


def test_clipping_reaches_every_parameter():
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    WeightClipping(0.01).apply(network)
    assert all(p.abs().max() <= 0.01 for p in network.parameters())
    assert network[1].weight.eq(0.01).all()


def test_bad_settings_are_sentences():
    with pytest.raises(UserError, match="weight=-1"):
        R1(weight=-1)
    with pytest.raises(UserError, match="every=0"):
        R1(every=0)
    with pytest.raises(UserError, match="limit"):
        WeightClipping(0)
