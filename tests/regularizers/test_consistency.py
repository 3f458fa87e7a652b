"""Consistency in images and latents, and LeCam, against values by hand."""

import pytest
import torch
from torch import nn

from gan_lightning import GAN
from gan_lightning.augment import DiffAugment
from gan_lightning.data import Ring
from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, MLP2dBackbone, MLP2dGenerator
from gan_lightning.regularizers import (
    BalancedConsistency,
    Consistency,
    LatentConsistency,
    LatentDiversity,
    LeCam,
)
from tests.augment.streams import step
from tests.conftest import fit

IDENTITY = DiffAugment([])


class Constant(nn.Module):
    """D = its one weight."""

    def __init__(self, value=2.0):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, images, labels=None):
        return self.value.expand(len(images))


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, images, labels=None):
        return self.weight * images.sum((1, 2, 3))


class Darker(DiffAugment):
    """Takes a tenth from each pixel."""

    def forward(self, images, draw):
        return images - 0.1


@pytest.mark.parametrize("penalty", [Consistency, BalancedConsistency])
@pytest.mark.parametrize("augment", [None, DiffAugment()])
def test_no_change_no_penalty(penalty, augment):
    assert penalty(augment=IDENTITY)(step(augment=augment)) == 0
    assert penalty()(step(augment=augment, discriminator=Constant())) == 0
    assert penalty()(step(augment=augment)) > 0


def test_consistency_is_the_mean_squared_change():
    """D sums 192 pixels, each a tenth darker: 19.2^2, on real images, and on fakes besides."""
    changed = 19.2**2
    assert Consistency(3.0, Darker())(step(discriminator=Sum())).item() == pytest.approx(3 * changed, rel=1e-4)
    both = BalancedConsistency(3.0, 2.0, Darker())(step(discriminator=Sum()))
    assert both.item() == pytest.approx(5 * changed, rel=1e-4)


def test_consistency_moves_the_discriminator_through_both_answers():
    """With D = w sum(x): the penalty is w^2 19.2^2, and its slope 2 w 19.2^2."""
    made = step(discriminator=Sum())
    BalancedConsistency(1.0, 0.0, Darker())(made).backward()
    assert made.discriminator.weight.grad.item() == pytest.approx(2 * 19.2**2, rel=1e-4)
    assert made.generator.linear.weight.grad is None


def test_consistency_on_points_is_a_sentence():
    module = GAN(
        MLP2dGenerator(width=8), Discriminator(MLP2dBackbone(width=8)), regularizers={"consistency": Consistency()}
    )
    with pytest.raises(UserError, match="points in the plane"):
        fit(module, Ring(num_points=512, batch_size=64))


def test_latent_consistency_of_linear_networks():
    """G(z) = W z and D sums: the change is (1 W delta)^2, delta of the given deviation; D alone learns from it."""
    made = step(discriminator=Sum(), count=20_000)
    column = made.generator.linear.weight.detach().sum(0)
    value = LatentConsistency(weight=2.0, std=0.1)(made)
    assert value.item() == pytest.approx(2 * 0.01 * column.square().sum().item(), rel=0.03)
    value.backward()
    assert made.generator.linear.weight.grad is None and made.discriminator.weight.grad > 0
    assert LatentConsistency()(step(discriminator=Constant())) == 0
    assert LatentConsistency(std=0.0)(step()).item() == pytest.approx(0, abs=1e-10)
    assert LatentConsistency(std=0.0)(step(augment=DiffAugment())).item() == pytest.approx(0, abs=1e-10)


def test_latent_diversity_rewards_change():
    made = step("generator", count=20_000)
    pixels = made.generator.linear.weight.detach().square().sum() / 192
    value = LatentDiversity(weight=2.0, std=0.1)(made)
    assert value.item() == pytest.approx(-2 * 0.01 * pixels.item(), rel=0.03)
    value.backward()
    assert (made.generator.linear.weight.grad * made.generator.linear.weight).sum() < 0  # a larger W is better


class Logits:
    """A step that has nothing but logits."""

    def __init__(self, real, fake, iteration):
        self.real_logits, self.fake_logits = torch.tensor(real), torch.tensor(fake)
        self.iteration = iteration

    def average(self, value):
        return value


def test_lecam_follows_its_running_means_by_hand():
    penalty = LeCam(weight=2.0, decay=0.9, start=1)
    assert penalty(Logits([1.0, 3.0], [-1.0, 0.0], 0)) == 0  # means 2 and -0.5, and not started
    # Until the start the running means are the batch's: 1 and -2.
    value = penalty(Logits([0.0, 2.0], [-3.0, -1.0], 1)).item()
    assert value == pytest.approx(2 * ((2**2 + 4**2) / 2 + (4**2 + 2**2) / 2))
    # Then 0.9 * 1 + 0.1 * 5 = 1.4 and 0.9 * -2 + 0.1 * 1 = -1.7.
    value = penalty(Logits([5.0, 5.0], [0.0, 2.0], 2)).item()
    assert value == pytest.approx(2 * ((5 + 1.7) ** 2 + (1.4**2 + 0.6**2) / 2))
    assert set(penalty.state_dict()) == {"real", "fake"}
    assert penalty.real.item() == pytest.approx(1.4) and penalty.fake.item() == pytest.approx(-1.7)


def test_lecams_running_means_are_in_the_checkpoint():
    module = GAN(MLP2dGenerator(width=8), Discriminator(MLP2dBackbone(width=8)), regularizers={"lecam": LeCam(start=0)})
    fit(module, Ring(num_points=512, batch_size=64), batches=3)
    saved = module.state_dict()
    assert saved["regularizer_state.lecam.real"] != 0 and saved["regularizer_state.lecam.fake"] != 0
