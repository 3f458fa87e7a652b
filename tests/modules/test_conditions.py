"""A discriminator is given its condition in every forward, exact ones too, or refuses it; it never ignores one."""

import pytest
import torch
from torch import nn

from gan_lightning.errors import UserError
from gan_lightning.modules.duel import Duel
from gan_lightning.networks import Backbone, DCGANBackbone, Discriminator, FastGANBackbone, FastGANDiscriminator
from gan_lightning.regularizers import R1, R2, Consistency, GradientPenalty
from gan_lightning.training.step import Step, Turn


class Product(Backbone):
    """Features are the pixels times the condition's: D(x | c) = w . (x c), so that its gradient by x is w c."""

    takes_condition = True

    def __init__(self) -> None:
        super().__init__()
        self.feature_dim, self.seen = 4, []

    def forward(self, images, condition):
        self.seen.append(condition)
        return (images * condition).flatten(1)


class Fixed(nn.Module):
    latent_dim, num_classes, image_shape = 2, 0, (1, 2, 2)

    def forward(self, z):
        return torch.ones(len(z), 1, 2, 2)


def step(**options):
    torch.manual_seed(0)
    batch = {"image": torch.randn(6, 1, 2, 2), "source": torch.randn(6, 1, 2, 2)}
    duel = Duel(Fixed(), Discriminator(Product()), condition="source")
    made = duel.at(Step(batch, **options))
    made.step.begin(Turn("discriminator", differentiates=frozenset({"real", "fake"})))
    return made


@pytest.mark.parametrize("low_precision", [False, True])
@pytest.mark.parametrize("penalty", [R1(2.0), R2(2.0)])
def test_the_penalty_is_that_of_the_conditional_discriminator(penalty, low_precision):
    made = step(low_precision=low_precision)
    weight = made.discriminator.head.linear.weight.reshape(1, 1, 2, 2)
    expected = (weight * made.batch["source"]).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(penalty(made), expected)


def test_every_forward_gets_it():
    made = step()
    made.real_logits, made.fake_logits  # noqa: B018
    GradientPenalty()(made)
    made.judge(made.real, "real")
    assert len(made.discriminator.backbone.seen) == 4
    assert all(condition is made.batch["source"] for condition in made.discriminator.backbone.seen)


def test_it_changes_the_logits_and_consistency_keeps_it():
    made = step()
    other = made.discriminator(made.real, condition=-made.batch["source"]).logits
    bias = made.discriminator.head.linear.bias
    torch.testing.assert_close(other - bias, bias - made.real_logits)
    assert Consistency(1.0, augment=Same())(made) == 0


class Same(nn.Module):
    images_only = False

    def forward(self, images, draw):
        return images


@pytest.mark.parametrize(
    "judge", [Discriminator(DCGANBackbone(8, 1, width=4)), FastGANDiscriminator(FastGANBackbone(32, 1, width=4))]
)
def test_a_backbone_that_would_not_look_at_it_refuses(judge):
    size = 8 if isinstance(judge.backbone, DCGANBackbone) else 32
    images = torch.zeros(2, 1, size, size)
    with pytest.raises(UserError, match="was given a condition and judges images alone"):
        judge(images, condition=images)
