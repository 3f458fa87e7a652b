"""Where an augmentation acts in a step, and what it costs a game that has none."""

import math

import pytest
import torch

from gan_lightning import GAN, UserError
from gan_lightning.augment import ADA, Augment, DiffAugment, InstanceNoise
from gan_lightning.data import Ring
from gan_lightning.networks import Discriminator, MLP2dBackbone, MLP2dGenerator
from gan_lightning.regularizers import R1, R2, GradientPenalty
from gan_lightning.training.step import Rows
from tests.augment.streams import Score, step
from tests.conftest import fit
from tests.duel_step import begin


class Scaled(Augment):
    """T(x) = s x, with a scale of each sample's own."""

    def forward(self, images, draw):
        return images * (1 + draw.uniform("scale", 1, 1, 1))


class Sum(torch.nn.Module):
    def forward(self, images, labels=None):
        return images.sum((1, 2, 3))


class Seeing(Score):
    """Remembers what it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images, labels=None):
        self.seen.append(images.detach())
        return super().forward(images)


def test_real_and_fake_are_augmented_in_both_turns_with_draws_of_their_own():
    critic, scales = Seeing(), []
    made = step(augment=Scaled(), discriminator=critic)
    for player in ("discriminator", "generator"):
        begin(made, player)
        made.real_logits, made.fake_logits  # noqa: B018
        for images, seen in zip((made.real, made.fake), critic.seen[-2:], strict=True):
            scales.append((seen / images.detach()).mean((1, 2, 3)))
    stacked = torch.stack(scales)
    assert stacked.min() >= 0.999 and stacked.max() < 2.001 and stacked.unique().numel() == stacked.numel()


@pytest.mark.parametrize("augment", [Scaled(), DiffAugment(), ADA(p=1.0)])
def test_the_generators_gradient_flows_through(augment):
    made = step("generator", augment)
    (-made.fake_logits.mean()).backward()
    assert made.generator.linear.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("augment", [Scaled(), ADA(p=1.0)])
@pytest.mark.parametrize(("penalty", "which"), [(R1, "real"), (R2, "fake")])
@pytest.mark.parametrize("shared", [False, True])
def test_r1_and_r2_differentiate_by_the_image_before_the_augmentation(augment, penalty, which, shared):
    """By hand: |J_T^T grad D(T x)|^2 / 2, and it reaches every weight of the discriminator."""
    made = step(augment=augment, shared=frozenset({which}) if shared else frozenset())
    value = penalty(weight=1.0)(made)
    leaf = (made.real if which == "real" else made.fake).detach().clone().requires_grad_()
    logits = made.discriminator(augment(leaf, made.numbers(f"augment/{which}/discriminator")))
    (gradient,) = torch.autograd.grad(logits.sum(), leaf)
    torch.testing.assert_close(value.detach(), gradient.square().sum((1, 2, 3)).mean() / 2)
    value.backward()
    assert made.discriminator.layers[1].weight.grad.abs().sum() > 0


def test_the_gradient_penalty_is_that_of_the_discriminator_between_what_it_sees():
    """A linear critic's gradient is its weight, whatever the augmentation."""
    value = GradientPenalty(weight=1.0)(step(augment=Scaled(), discriminator=Sum()))
    assert value.item() == pytest.approx((math.sqrt(192) - 1) ** 2, rel=1e-5)


def test_two_processes_draw_the_rows_of_one():
    augment = DiffAugment()
    whole = step(augment=augment, count=8)
    for rows in (Rows(0, 4, 8), Rows(4, 8, 8)):
        images = whole.batch["image"][rows.start : rows.stop]
        part = step(augment=augment, images=images, rows=rows)
        torch.testing.assert_close(part.shown("real"), whole.shown("real")[rows.start : rows.stop])
        torch.testing.assert_close(part.shown("fake"), whole.shown("fake")[rows.start : rows.stop])


def test_without_an_augmentation_the_discriminator_sees_the_images_themselves():
    made = step()
    assert made.shown("real") is made.real and made.shown("fake") is made.fake


def test_low_precision_images_are_augmented_in_float32():
    made = step(augment=DiffAugment(), images=torch.rand(4, 3, 8, 8).bfloat16())
    assert made.shown("real").dtype == torch.float32


def points_gan(augment):
    return GAN(MLP2dGenerator(width=8), Discriminator(MLP2dBackbone(width=8)), augment=augment, log_every=2)


def test_points_take_noise_but_no_image_operations():
    module = points_gan(InstanceNoise(0.5))
    rows = fit(module, Ring(num_points=512, batch_size=64), batches=4).loggers[0].rows
    sigmas = [row["augment/sigma"] for row in rows if "augment/sigma" in row]
    assert sigmas == pytest.approx([0.5 * (1 - 0.125), 0.5 * (1 - 0.625)])
    with pytest.raises(UserError, match="points in the plane"):
        fit(points_gan(DiffAugment()), Ring(num_points=512, batch_size=64))
