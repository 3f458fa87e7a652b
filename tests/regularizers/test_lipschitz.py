"""Penalties of the gradient's norm against closed forms on linear and quadratic critics."""

import pytest
import torch

from gan_lightning.regularizers import DRAGAN, GradientPenalty, MaxGradientPenalty, OneSidedGradientPenalty
from tests.duel_step import duel_step
from tests.regularizers.test_penalties import Linear, Points, Quadratic, step

MATRIX = torch.tensor([[2.0, 1.0], [1.0, 3.0]])


@pytest.mark.parametrize("batch", [1, 4, 64])
@pytest.mark.parametrize(
    ("penalty", "steep", "flat"),
    [(GradientPenalty, 16, 0.25), (OneSidedGradientPenalty, 16, 0), (DRAGAN, 16, 0.25), (MaxGradientPenalty, 25, 0.25)],
)
def test_on_linear_critics(penalty, steep, flat, batch):
    """The gradient is w everywhere: of norm 5, and of norm 1/2."""
    images = torch.randn(batch, 2)
    assert penalty(weight=2.0)(step(Linear([3.0, 4.0]), images)).item() == pytest.approx(2 * steep, rel=1e-5)
    assert penalty(weight=2.0)(step(Linear([0.3, 0.4]), images)).item() == pytest.approx(2 * flat, rel=1e-5)


def between(made):
    """Return |A x| at the points between real and fake."""
    epsilon = made.uniform("interpolation", 1)
    return ((epsilon * made.real + (1 - epsilon) * made.fake).detach() @ MATRIX).norm(dim=1)


def test_on_a_quadratic_critic():
    made = step(Quadratic(), torch.randn(64, 2, generator=torch.Generator().manual_seed(0)))
    norms = between(made)
    assert norms.max() > 1 > norms.min()  # both sides are there
    values = {p: p(weight=1.0)(made).detach() for p in (GradientPenalty, OneSidedGradientPenalty, MaxGradientPenalty)}
    torch.testing.assert_close(values[GradientPenalty], (norms - 1).square().mean())
    torch.testing.assert_close(values[OneSidedGradientPenalty], (norms - 1).clamp(min=0).square().mean())
    torch.testing.assert_close(values[MaxGradientPenalty], norms.max().square())


def test_dragans_points_lie_around_the_real_images():
    """x + alpha * 0.5 std(batch) * u: never less than x, at most half a deviation more, and one alpha a sample."""
    images = torch.randn(500, 2) * 3 + 1
    made = step(Quadratic(), images)
    moved = (DRAGAN().points(made) - images) / (0.5 * images.std(correction=0))
    alpha, u = made.uniform("dragan alpha", 1), made.uniform("dragan noise", 2)
    torch.testing.assert_close(moved, alpha * u, rtol=1e-4, atol=1e-5)
    assert moved.min() >= 0 and moved.max() <= 1
    assert torch.equal(DRAGAN(noise=0.0).points(made), images)


def test_dragan_needs_no_fakes():
    class Never(Points):
        def forward(self, z, labels=None):
            raise AssertionError("the generator is not asked")

    made = duel_step(Never(), Quadratic(), {"image": torch.randn(4, 2)}, "discriminator")
    DRAGAN()(made).backward()
    assert made.discriminator.matrix.grad.abs().sum() > 0


@pytest.mark.parametrize("penalty", [OneSidedGradientPenalty, DRAGAN, MaxGradientPenalty])
def test_the_gradient_of_a_zero_gradient_is_finite(penalty):
    critic = Linear([0.0, 0.0])
    penalty()(step(critic, torch.randn(3, 2))).backward()
    assert torch.isfinite(critic.weight.grad).all()


def test_who_takes_batch_norm():
    """DRAGAN's own networks have it; penalties of each sample's gradient refuse it."""
    assert OneSidedGradientPenalty.forbids_batch_norm and MaxGradientPenalty.forbids_batch_norm
    assert not DRAGAN.forbids_batch_norm
