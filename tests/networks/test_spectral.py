"""Spectral normalisation against singular values, and what its buffer does when."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from gan_lightning.cli import build
from gan_lightning.cli.train import train
from gan_lightning.networks import DCGANBackbone, Discriminator, MLP2dBackbone, MLPBackbone, ProjectionHead
from gan_lightning.networks.heads import InfoHead, LinearHead
from gan_lightning.networks.layers.initialisation import weighted_layers
from gan_lightning.networks.layers.spectral import spectral_norm, spectrally_normalise

GIVEN = torch.tensor([[3.0, 0.0], [4.0, 5.0]])  # singular values 3 sqrt 5 and sqrt 5


def linear(weight):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    return spectral_norm(layer)


def test_power_iteration_takes_the_known_steps():
    layer = linear(GIVEN)
    parametrization = layer.parametrizations.weight[0]
    parametrization.u.copy_(torch.tensor([1.0, 0.0]))
    sigmas = [(GIVEN[1, 1] / layer.weight[1, 1]).item() for _ in range(4)]
    assert sigmas == pytest.approx([5.0, 6.671746, 6.707750, 6.708198], abs=2e-6)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 7)])
def test_a_linear_layer_converges_to_its_largest_singular_value(shape):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    layer = linear(weight)
    for _ in range(100):
        layer(torch.randn(2, shape[1]))
    torch.testing.assert_close(weight / layer.weight, torch.linalg.matrix_norm(weight, 2).expand(shape))
    assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        (nn.Conv2d(3, 6, 3), lambda weight: weight.flatten(1)),
        (nn.ConvTranspose2d(3, 6, 4), lambda weight: weight.transpose(0, 1).flatten(1)),
        (nn.Embedding(5, 4), lambda weight: weight),
    ],
)
def test_the_matrix_of_each_kind_of_layer_has_its_outputs_as_rows(layer, rows):
    layer.reset_parameters()  # it was drawn when this file was read, from a state that hangs on the files before
    spectral_norm(layer)
    assert layer.parametrizations.weight[0].u.shape == rows(layer.weight).shape[:1]
    for _ in range(100):
        weight = layer.weight
    assert torch.linalg.matrix_norm(rows(weight), 2).item() == pytest.approx(1, abs=1e-4)


def test_u_is_a_buffer_that_moves_in_training_only():
    layer = linear(torch.randn(6, 6))
    assert "parametrizations.weight.0.u" in layer.state_dict()
    assert [name for name, _ in layer.named_parameters()] == ["parametrizations.weight.original"]
    u = layer.parametrizations.weight[0].u
    u.copy_(torch.eye(6)[0])
    before = u.clone()
    layer.eval()(torch.randn(2, 6))
    assert torch.equal(u, before)
    expected = layer.weight.clone()
    assert torch.equal(layer.train().weight, expected) and not torch.equal(u, before)


def test_sigma_carries_a_gradient_and_u_and_v_do_not():
    layer = linear(GIVEN)
    for _ in range(50):
        weight = layer.weight
    u, _, v = torch.linalg.svd(GIVEN)
    weight[0, 0].backward()
    sigma, one = 3 * 5**0.5, torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    expected = one / sigma - GIVEN[0, 0] / sigma**2 * torch.outer(u[:, 0], v[0])
    torch.testing.assert_close(layer.parametrizations.weight.original.grad, expected)


def test_two_forwards_before_a_backward_and_a_copy():
    network = spectrally_normalise(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 1)))
    real, fake = torch.randn(2, 1, 4, 4), torch.randn(2, 1, 4, 4)
    (network(real).mean() - network(fake).mean()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters() if parameter.requires_grad)
    twin = copy.deepcopy(network)
    assert torch.equal(twin.eval()(real), network.eval()(real))
    assert twin[0].parametrizations.weight[0].u is not network[0].parametrizations.weight[0].u


def test_normalising_twice_changes_nothing_and_a_weight_of_zeros_stays_finite():
    layer = nn.Linear(3, 2)
    spectrally_normalise(spectrally_normalise(layer))
    assert len(layer.parametrizations.weight) == 1
    assert torch.equal(linear(torch.zeros(2, 3)).weight, torch.zeros(2, 3))


def test_autocast_leaves_sigma_in_full_precision():
    layer = linear(torch.randn(6, 6)).eval()
    expected = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, expected)


# As an option of networks ---------------------------------------------------------------------------------------------

PLAIN = [partial(DCGANBackbone, 16, 1, width=8), partial(MLPBackbone, 16, 1, hidden=(24, 12)), MLP2dBackbone]


@pytest.mark.parametrize("head", [LinearHead, partial(ProjectionHead, num_classes=3), InfoHead])
@pytest.mark.parametrize("backbone", PLAIN)
def test_all_weights_of_backbone_and_head_have_norm_one_where_asked_for(backbone, head):
    torch.manual_seed(0)
    network = Discriminator(backbone(spectral_norm=True), head)
    samples = torch.randn(8, 2) if backbone is MLP2dBackbone else torch.randn(8, 1, 16, 16)
    for _ in range(30):
        network(samples, torch.arange(8) % 3)
    layers = list(weighted_layers(network))
    assert len(layers) >= 3
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("backbone", PLAIN)
def test_spectral_norm_adds_no_parameter_and_is_not_the_default(backbone):
    plain, normal = Discriminator(backbone()), Discriminator(backbone(spectral_norm=True))
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in normal.parameters())
    assert not any("parametrizations" in name for name in plain.state_dict())


@pytest.mark.parametrize("model", ["dcgan", "lsgan", "wgan", "wgan_gp_dcgan", "mlp"])
def test_an_sn_dcgan_is_a_matter_of_words(model):
    network = build.module(
        train.compose([f"model={model}", "model.discriminator.backbone.spectral_norm=true", "run_dir=unused"])
    ).discriminator
    assert all(hasattr(layer, "parametrizations") for layer in weighted_layers(network))


def test_an_sn_dcgan_trains(run_folder):
    network = ["model=dcgan", "loss=hinge", "model.discriminator.backbone.norm=none", "regularizer=[gradient_penalty]"]
    small = ["model.generator.width=4", "model.discriminator.backbone.width=4", "data.image_size=16"]
    short = ["trainer.limit_train_batches=2", "max_epochs=1", "data.batch_size=8", "metrics=[]", "trainer=cpu"]
    words = [*network, "model.discriminator.backbone.spectral_norm=true", *small, *short, f"run_dir={run_folder}"]
    assert train(train.compose(words))["images_seen"] == 16
