"""PacGAN's packs, minibatch discrimination, and the networks of PacGAN's mixtures."""

from functools import partial

import pytest
import torch
from torch import nn

from gan_lightning import GAN
from gan_lightning.cli import build
from gan_lightning.cli.train import train
from gan_lightning.data import Ring
from gan_lightning.errors import UserError
from gan_lightning.modules.state import describe
from gan_lightning.networks import (
    Backbone,
    DCGANBackbone,
    Discriminator,
    MLP2dBackbone,
    MLP2dGenerator,
    MLPBackbone,
    ProGANBackbone,
    ProjectionHead,
    R3GANBackbone,
    ResNetBackbone,
    StyleGAN2Backbone,
)
from gan_lightning.networks.discriminator import packed
from gan_lightning.networks.layers.minibatch_discrimination import MinibatchDiscrimination
from gan_lightning.regularizers import R1, GradientPenalty
from tests.conftest import fit
from tests.duel_step import duel_step


def count(network):
    return sum(p.numel() for p in network.parameters())


# Packs ---------------------------------------------------------------------------------------------------------------


def test_a_pack_holds_successive_samples_on_the_channel_axis():
    images = torch.arange(4 * 3 * 2 * 2.0).reshape(4, 3, 2, 2)
    packs = packed(images, 2)
    assert packs.shape == (2, 6, 2, 2)
    assert torch.equal(packs[1, :3], images[2]) and torch.equal(packs[1, 3:], images[3])


def test_packs_of_one_are_the_plain_discriminator_bit_for_bit():
    networks = []
    for options in ({}, {"pack": 1}):
        torch.manual_seed(0)
        networks.append(Discriminator(DCGANBackbone(8, 1, width=8), **options))
    images = torch.randn(4, 1, 8, 8)
    assert torch.equal(*[network(images).logits for network in networks])
    assert networks[0].state_dict().keys() == networks[1].state_dict().keys()


@pytest.mark.parametrize("pack", [2, 3, 4])
def test_only_the_first_layer_grows(pack):
    with torch.device("meta"):
        plain = Discriminator(DCGANBackbone(16, 3, width=8))
        packs = Discriminator(DCGANBackbone(16, 3, width=8), pack=pack)
        assert packs(torch.empty(12, 3, 16, 16)).logits.shape == (12 // pack,)
    assert count(packs) - count(plain) == (pack - 1) * 3 * 8 * 16
    assert describe(packs)["pack"] == pack


@pytest.mark.parametrize(
    "backbone",
    [
        lambda: MLPBackbone(16, 3, hidden=(8,)),
        lambda: ProGANBackbone(16, 3),
        lambda: R3GANBackbone(16, 3, width=16),
        lambda: ResNetBackbone(16, 3, width=8),
        lambda: StyleGAN2Backbone(16, 3),
    ],
)
def test_every_backbone_takes_packs_and_minibatch_features(backbone):
    with torch.device("meta"):
        network = Discriminator(backbone(), pack=2, minibatch_features=4)
        assert network(torch.empty(8, 3, 16, 16)).logits.shape == (4,)


def test_the_order_of_a_pack_counts_and_other_packs_do_not():
    torch.manual_seed(0)
    network, images = Discriminator(MLP2dBackbone(width=8), pack=2), torch.randn(4, 2)
    logits = network(images).logits
    changed = images.clone()
    changed[3] = 5.0
    assert torch.equal(network(changed).logits[0], logits[0]) and not torch.equal(network(changed).logits[1], logits[1])


def test_penalties_take_the_gradient_of_a_whole_pack():
    """A linear critic of packs has the gradient w everywhere: R1 is |w|^2 / 2, the gradient penalty (|w| - 1)^2."""
    critic = Discriminator(MLP2dBackbone(width=4, depth=0), pack=2)  # packs of 2 points are 4 numbers
    with torch.no_grad():
        critic.head.linear.weight.copy_(torch.tensor([[3.0, 0.0, 0.0, 4.0]]))
    step = duel_step(MLP2dGenerator(width=4), critic, {"image": torch.randn(6, 2)}, "discriminator")
    assert R1(1.0)(step).item() == pytest.approx(12.5)
    assert GradientPenalty(1.0)(step).item() == pytest.approx(16.0)


@pytest.mark.parametrize(("size", "accumulate"), [(63, 1), (64, 3), (66, 2)])
def test_a_batch_that_does_not_divide_is_a_sentence_before_training(size, accumulate):
    module = GAN(MLP2dGenerator(width=4), Discriminator(MLP2dBackbone(width=4), pack=2), accumulate=accumulate)
    with pytest.raises(UserError, match=rf"data.batch_size={size} cannot be divided into packs of 2"):
        fit(module, Ring(num_points=256, batch_size=size))
    assert module.iteration == 0
    with pytest.raises(UserError, match="A batch of 3 images cannot be divided into packs of 2"):
        module.discriminator(torch.zeros(3, 2))


def test_packs_and_labels_do_not_mix():
    with pytest.raises(UserError, match="pack=2 puts images of any classes and codes together"):
        Discriminator(DCGANBackbone(8, 1, width=8), partial(ProjectionHead, num_classes=3), pack=2)
    with pytest.raises(UserError, match="pack=2"):
        Discriminator(DCGANBackbone(8, 1, label_maps=3, width=8), pack=2)


def test_a_backbone_without_channels_cannot_take_packs():
    class Fixed(Backbone):
        feature_dim = 2

        def __init__(self, width: int = 2) -> None:
            super().__init__()

    with pytest.raises(UserError, match="Fixed has no argument channels"):
        Discriminator(Fixed(), pack=2)


def test_packed_training_moves_both_players_and_draws_what_the_plain_one_draws():
    module = GAN(MLP2dGenerator(width=8), Discriminator(MLP2dBackbone(width=8), pack=4), accumulate=2)
    before = [p.detach().clone() for p in module.parameters()]
    fit(module, Ring(num_points=256, batch_size=32), batches=3)
    after = list(module.parameters())
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_pacgans_own_networks_and_optimiser():
    module = build.module(train.compose(["experiment=pacgan", "run_dir=unused"]))
    generator = (2 * 400 + 400 + 800) + 3 * (400 * 400 + 400 + 800) + 400 * 2 + 2
    discriminator = (4 * 1000 + 1000) + 2 * (200 * 1000 + 1000) + 200 + 1
    assert (count(module.generator), count(module.discriminator)) == (generator, discriminator)
    module.configure_optimizers()
    group = module.players["generator"].optimizer.param_groups[0]
    assert group["lr"] == 1e-4 and tuple(group["betas"]) == (0.8, 0.999) and not module.regularizers


def test_maxout_units_of_points_take_the_largest_piece():
    backbone, points = MLP2dBackbone(width=3, depth=1, pieces=5), torch.randn(4, 2)
    linear = backbone.layers[0].linear
    pieces = (points @ linear.weight.T + linear.bias).reshape(4, 3, 5)
    torch.testing.assert_close(backbone(points), pieces.amax(2))
    with pytest.raises(UserError, match="norm=layer is not known to mlp2d"):
        MLP2dGenerator(norm="layer")


# Minibatch discrimination --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7])
def test_identical_samples_are_as_close_as_can_be(count):
    layer = MinibatchDiscrimination(6, kernels=4, kernel_dim=3)
    closeness = layer(torch.randn(1, 6).expand(count, -1))
    torch.testing.assert_close(closeness, torch.full((count, 4), count - 1.0))


def test_closeness_is_the_exponential_of_the_distances_to_the_others():
    layer = MinibatchDiscrimination(1, kernels=2, kernel_dim=2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1.0], [0.5], [0.0]]))  # M_i = f_i (1, -1), f_i (0.5, 0)
    closeness = layer(torch.tensor([[0.0], [1.0], [3.0]]))
    near, far, middle = torch.tensor([-2.0, -0.5]), torch.tensor([-6.0, -1.5]), torch.tensor([-4.0, -1.0])
    expected = torch.stack([near.exp() + far.exp(), near.exp() + middle.exp(), far.exp() + middle.exp()])
    torch.testing.assert_close(closeness, expected)


def root_mean_square(values):
    return values.square().mean().sqrt()


@pytest.mark.parametrize("count", [2, 6])
def test_the_discriminator_gets_the_mean_closeness_at_the_size_of_the_features(count):
    torch.manual_seed(0)
    network = Discriminator(MLP2dBackbone(width=8), minibatch_features=5)
    spread, same = torch.randn(count, 2), torch.ones(count, 2)
    features, collapsed = network(spread).features, network(same).features
    own = network.backbone.backbone(spread)
    assert features.shape == (count, 13) and torch.equal(features[:, :8], own)
    size = root_mean_square(own)
    mean = network.backbone.closeness(own / size) / (count - 1)
    torch.testing.assert_close(features[:, 8:], size * (mean - 0.5))
    half = root_mean_square(collapsed[:, :8]) / 2  # identical samples are as close as can be, however many
    torch.testing.assert_close(collapsed[:, 8:], half.expand(count, 5))
    assert (features[:, 8:] < size / 2).all()


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_closeness_does_not_hang_on_the_size_of_the_features(factor):
    """Another size of all features is that of the closeness too, so both sum to a logit of another size."""

    class Sized(MLP2dBackbone):
        size = 1.0

        def forward(self, images):
            return super().forward(images) * self.size

    network, points = Discriminator(Sized(width=8), minibatch_features=5), torch.randn(6, 2)
    before = network(points).features
    network.backbone.backbone.size = factor
    torch.testing.assert_close(network(points).features, before * factor, rtol=1e-3, atol=1e-3 * factor)


def test_minibatch_discrimination_under_packs_trains_with_a_penalty():
    critic = Discriminator(MLP2dBackbone(width=8), pack=2, minibatch_features=3)
    module = GAN(MLP2dGenerator(width=8), critic, regularizers={"r1": R1()})
    kernels = critic.backbone.closeness.linear.weight.detach().clone()
    fit(module, Ring(num_points=256, batch_size=32), batches=2)
    assert not torch.equal(kernels, critic.backbone.closeness.linear.weight)


def test_a_backbone_initialises_its_head_through_the_wrapper():
    torch.manual_seed(0)
    network = Discriminator(DCGANBackbone(64, 1, width=8), minibatch_features=3)
    assert isinstance(network.head.linear, nn.Linear)
    assert network.head.linear.weight.std().item() == pytest.approx(0.02, rel=0.1)  # N(0, 0.02^2), as DCGAN
