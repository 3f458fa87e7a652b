"""Orthogonal weights by hand, on the filters as layers use them."""

import pytest
import torch
from torch import nn

from gan_lightning.cli import build
from gan_lightning.errors import UserError
from gan_lightning.networks.layers.equalised import EqualisedConv2d, EqualisedLinear
from gan_lightning.networks.layers.modulated import ModulatedConv2d
from gan_lightning.networks.r3gan import R3GANGenerator
from gan_lightning.regularizers import Orthogonal
from gan_lightning.regularizers.orthogonal import matrices
from tests.cli.test_compose import options, tiny

IMAGES = [model for model in options("model") if model != "mlp2d"]


class Two:
    """A step of two networks and a batch on the CPU."""

    def __init__(self, network):
        self.generator = self.discriminator = network
        self.batch = {"image": torch.zeros(1)}


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_orthogonal_weights_by_hand(player):
    layer = nn.Linear(2, 2)
    layer.weight.data = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
    assert Orthogonal(0.5, player)(Two(layer)).item() == pytest.approx(1.0)  # 2 beta
    layer.weight.data = 3 * torch.linalg.qr(torch.randn(2, 2))[0]
    assert Orthogonal(0.5, player)(Two(layer)).item() == pytest.approx(0, abs=1e-9)  # of any length


def test_every_layers_filters_are_read_as_trained():
    """Rows are outputs, also of transposed convolutions; embeddings, biases and norms do not count."""
    normed = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 5, 3))
    old = nn.utils.spectral_norm(nn.Linear(4, 3))
    others = nn.BatchNorm2d(5), nn.LayerNorm((5, 2, 2)), nn.Embedding(9, 9)
    network = nn.Sequential(nn.ConvTranspose2d(4, 6, 2), normed, old, *others)
    assert [tuple(matrix.shape) for matrix in matrices(network)] == [(1, 6, 16), (1, 5, 27), (1, 3, 4)]
    read = [matrix.data_ptr() for matrix in matrices(network)]
    assert read[1:] == [normed.parametrizations.weight.original.data_ptr(), old.weight_orig.data_ptr()]


def test_what_is_no_weight_of_a_layer_does_not_count():
    """A bias or strength (C, 1, 1) under its name, StyleGAN2's constant, R3GAN's basis."""
    network = nn.Module()
    network.bias, network.constant = nn.Parameter(torch.ones(4, 1, 1)), nn.Parameter(torch.ones(4, 2, 2))
    network.layer = nn.Linear(3, 2)
    assert [tuple(matrix.shape) for matrix in matrices(network)] == [(1, 2, 3)]
    generator = R3GANGenerator(8, 1, width=8, group_width=4)
    layers = [layer for layer in generator.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(list(matrices(generator))) == len(layers)


@pytest.mark.parametrize(
    ("equalised", "plain"),
    [
        (EqualisedLinear(6, 4, lr_multiplier=0.01), nn.Linear(6, 4)),
        (EqualisedConv2d(6, 4, 3), nn.Conv2d(6, 4, 3, padding=1)),
    ],
)
def test_an_equalised_layer_costs_what_a_plain_one_of_the_same_outputs_does(equalised, plain):
    inputs = torch.randn(16, 6) if isinstance(plain, nn.Linear) else torch.randn(16, 6, 5, 5)
    plain.weight.data = equalised.weight.detach() * equalised.scale
    nn.init.zeros_(plain.bias)
    torch.testing.assert_close(equalised(inputs), plain(inputs))
    penalties = [Orthogonal()(Two(layer)) for layer in (equalised, plain)]
    torch.testing.assert_close(*penalties)


def test_a_styles_convolution_counts_as_it_is_before_the_style():
    layer = ModulatedConv2d(6, 4, 3, style_dim=5)
    read = [matrix[0] for matrix in matrices(layer)]
    torch.testing.assert_close(read[0], layer.weight.flatten(1) / 54**0.5)
    torch.testing.assert_close(read[1], layer.affine.weight / 5**0.5)


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
def test_filters_of_different_groups_have_nothing_in_common(kind):
    """The penalty of a grouped layer is the sum of those of its groups."""
    layer = kind(6, 4, 3, groups=2)
    parts = [kind(3, 2, 3), kind(3, 2, 3)]
    for part, weight in zip(parts, layer.weight.detach().chunk(2), strict=True):
        part.weight.data = weight
    torch.testing.assert_close(Orthogonal()(Two(layer)), Orthogonal()(Two(nn.Sequential(*parts))))


@pytest.mark.parametrize("model", IMAGES)
def test_the_penalty_of_every_generator_is_small_at_first(model):
    """Its weights are about as large as BigGAN's are, whose factor this is; raw equalised ones cost up to 1e13."""
    config = tiny(f"model={model}", "data=digits")
    config.run_dir = "unused"
    value = Orthogonal()(Two(build.module(config).generator)).item()
    assert 0 < value < 0.1


def test_orthogonal_of_nothing_or_of_neither_player_is_a_sentence():
    with pytest.raises(UserError, match="neither generator nor discriminator"):
        Orthogonal(role="both")
    with pytest.raises(UserError, match="no linear layer or convolution in Embedding"):
        Orthogonal()(Two(nn.Embedding(3, 3)))
