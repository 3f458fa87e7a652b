"""The generator's options: feature matching by hand, and the best fakes only."""

import pytest
import torch

from gan_lightning import GAN, UserError
from gan_lightning.data import Ring
from gan_lightning.losses import GeneratorLoss, Hinge, NonSaturating, Relativistic
from gan_lightning.losses.generator import feature_distance
from gan_lightning.networks import Discriminator, DiscriminatorOutput, MLP2dBackbone, MLP2dGenerator
from tests.conftest import fit


class Said:
    """A step in which the discriminator said these logits and features."""

    def __init__(self, real, fake, real_features=None, fake_features=None):
        self.real_output = DiscriminatorOutput(torch.tensor(real), real_features)
        self.fake_output = DiscriminatorOutput(torch.tensor(fake, requires_grad=True), fake_features)
        self.real_logits, self.fake_logits = self.real_output.logits, self.fake_output.logits


def test_feature_distance_by_hand_and_whatever_the_order():
    real, fake = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    assert feature_distance(real, fake).item() == pytest.approx(1.5**2 + 2**2)
    assert feature_distance(real, real.flip(0)).item() == 0


def test_feature_matching_alone_or_beside():
    features = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 0.0]])
    step = Said([0.0], [2.0], *features)
    alone = GeneratorLoss(adversarial=0, feature_matching=1)(Hinge(), step)
    assert {name: value.item() for name, value in alone.items()} == {"feature_matching": 5.0}
    both = GeneratorLoss(adversarial=0.5, feature_matching=0.1)(Hinge(), step)
    assert both["generator"].item() == -1 and both["feature_matching"].item() == pytest.approx(0.5)


def test_feature_matching_moves_fakes_and_never_the_target():
    real, fake = torch.ones(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    feature_distance(real, fake).backward()
    assert real.grad is None and torch.equal(fake.grad, torch.full((2, 3), -1.0))  # 2 (0 - 1) / N


def test_features_that_are_not_there_are_a_sentence():
    with pytest.raises(UserError, match="feature_matching needs the discriminator's features"):
        GeneratorLoss(feature_matching=1)(Hinge(), Said([0.0], [0.0]))


@pytest.mark.parametrize(("epoch", "kept"), [(0, [1, 1, 1, 1]), (1, [1, 0, 1, 1]), (9, [0, 0, 1, 1])])
def test_only_the_best_fakes_count_fewer_each_epoch(epoch, kept):
    """With decay 0.75 the share is 1, 3/4, then the floor of 1/2."""
    step = Said([0.0] * 4, [0.1, -3.0, 2.0, 0.5])
    loss = GeneratorLoss(top_k=0.5, top_k_decay=0.75)(Hinge(), step, epoch)["generator"]
    loss.backward()
    expected = torch.tensor(kept) / sum(kept)
    torch.testing.assert_close(step.fake_logits.grad, -expected)


def test_paired_reals_stay_with_their_fakes():
    step = Said([1.0, 2.0, 3.0], [0.0, 5.0, 4.0])
    found = GeneratorLoss(top_k=0.67, top_k_decay=0.1)(Relativistic(), step, 5)["generator"]
    expected = Relativistic().generator(torch.tensor([2.0, 3.0]), torch.tensor([5.0, 4.0]))
    assert found.item() == pytest.approx(expected.item())


def test_the_default_is_the_adversarial_loss():
    step = Said([1.0, 2.0], [0.3, -1.0])
    assert GeneratorLoss()(NonSaturating(), step, 7) == {"generator": NonSaturating().generator(None, step.fake_logits)}


@pytest.mark.parametrize("options", [{"adversarial": 0}, {"feature_matching": -1}])
def test_weights_out_of_range_are_a_sentence(options):
    with pytest.raises(UserError, match="weights are at least 0, and one of them is more"):
        GeneratorLoss(**options)


@pytest.mark.parametrize("options", [{"top_k": 0}, {"top_k": 1.5}, {"top_k_decay": 0}])
def test_shares_out_of_range_are_a_sentence(options):
    with pytest.raises(UserError, match="both are shares above 0, at most 1"):
        GeneratorLoss(**options)


def test_a_game_without_adversarial_loss_reports_and_moves_both_players():
    torch.manual_seed(0)
    options = GeneratorLoss(adversarial=0, feature_matching=1)
    module = GAN(MLP2dGenerator(width=16), Discriminator(MLP2dBackbone(width=16)), generator_loss=options, log_every=1)
    before = [p.detach().clone() for p in module.generator.parameters()]
    rows = fit(module, Ring(num_points=1024, batch_size=64), batches=3).loggers[0].rows
    assert "loss/feature_matching" in rows[0] and "loss/generator" not in rows[0]
    assert any(not torch.equal(a, b) for a, b in zip(before, module.generator.parameters(), strict=True))
