"""The ResNet family: counts of the papers' code, shapes, attention, conditional batch norm, pooling, routing."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import one_hot

from gan_lightning.errors import UserError
from gan_lightning.networks import (
    DCGANGenerator,
    Discriminator,
    ProjectionHead,
    ResNetBackbone,
    ResNetGenerator,
)
from gan_lightning.networks.layers.attention import SelfAttention
from gan_lightning.networks.layers.normalisation import ConditionalBatchNorm2d
from gan_lightning.networks.layers.residual import DiscriminatorBlock, GeneratorBlock

WGAN_GP = {"width": 128, "layout": "constant"}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def generator(size, classes=0, **options):
    return ResNetGenerator(size, 3, classes, conditioning="batch_norm", **options)


def discriminator(size, classes=0, **options):
    head = {"head": partial(ProjectionHead, num_classes=classes)} if classes else {}
    return Discriminator(ResNetBackbone(size, 3, **options), **head)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: generator(32, **WGAN_GP), 1_204_483),
        (lambda: discriminator(32, **WGAN_GP, pooling="mean", spectral_norm=False), 1_053_825),
        (lambda: generator(32), 4_276_739),
        (lambda: generator(48), 4_878_083),
        (lambda: generator(64), 12_220_675),
        (lambda: generator(128), 32_150_787),
        (lambda: discriminator(32), 1_053_825),
        (lambda: discriminator(48), 10_141_441),
        (lambda: discriminator(64), 10_141_441),
        (lambda: discriminator(128), 29_017_857),
        (lambda: generator(32, 10), 4_304_387),
        (lambda: discriminator(32, 10), 1_055_105),
        (lambda: generator(32, 10, spectral_norm=True, attention=32), 4_386_308),
        (lambda: discriminator(32, 10, wide=True, attention=32), 1_075_586),
        (lambda: generator(128, 1000, spectral_norm=True, attention=64), 42_017_412),
        (lambda: discriminator(128, 1000, wide=True, attention=64), 39_448_258),
    ],
)
def test_parameter_counts_of_the_published_code(build, expected):
    with torch.device("meta"):
        assert count(build()) == expected


@pytest.mark.parametrize("size", [16, 32, 48, 64, 96, 128, 192, 256])
@pytest.mark.parametrize(("channels", "classes"), [(1, 0), (3, 5)])
@pytest.mark.parametrize("layout", ["doubling", "constant"])
@pytest.mark.parametrize("conditioning", ["concat", "batch_norm"])
@torch.no_grad()
def test_every_size_it_promises(size, channels, classes, layout, conditioning):
    labels = torch.zeros(2, dtype=torch.long) if classes else None
    options = {"width": 4, "layout": layout, "attention": 64}
    network = ResNetGenerator(size, channels, classes, conditioning=conditioning, spectral_norm=True, **options)
    images = network(torch.zeros(2, 128), labels)
    logits = Discriminator(ResNetBackbone(size, channels, classes, **options))(images, labels).logits
    assert images.shape == (2, channels, size, size) and network.image_shape == images.shape[1:]
    assert logits.shape == (2,)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: ResNetGenerator(28, 1), "not 28: set data.image_size=32"),
        (lambda: ResNetBackbone(512, 1), "not 512: set data.image_size=256"),
        (lambda: ResNetGenerator(16, 1, layout="wide"), "choose doubling or constant"),
        (lambda: ResNetGenerator(16, 1, attention=5), r"attention=5 is below all .* \[8\]"),
        (lambda: ResNetGenerator(16, 1, 3, conditioning="adain"), "choose concat or batch_norm"),
        (lambda: ResNetGenerator(16, 1, 3, conditioning="batch_norm", width=2)(torch.randn(2, 128)), "got no labels"),
        (lambda: ResNetBackbone(16, 1, width=2, pooling="max"), "choose sum or mean"),
        (lambda: ResNetBackbone(16, 1, width=2, initialisation="he"), "choose glorot or orthogonal"),
        (lambda: DCGANGenerator(16, 1, 3, norm="layer", conditioning="batch_norm"), "needs norm=batch"),
    ],
)
def test_what_cannot_work_is_a_sentence(build, sentence):
    with pytest.raises(UserError, match=sentence):
        build()


# Attention ------------------------------------------------------------------------------------------------------------


def test_attention_is_the_identity_at_first_and_only_gamma_learns():
    layer, maps = SelfAttention(16), torch.randn(2, 16, 8, 8)
    assert torch.equal(layer(maps), maps)
    (layer(maps) * torch.randn_like(maps)).sum().backward()
    assert layer.gamma.grad != 0
    assert all(not parameter.grad.any() for name, parameter in layer.named_parameters() if name != "gamma")


@pytest.mark.parametrize(("pooled", "keys"), [(True, 16), (False, 64)])
def test_attention_has_rows_that_sum_to_one_and_its_count(pooled, keys):
    layer = SelfAttention(16, pooled)
    weights = layer.weights(torch.randn(2, 16, 8, 8) * 5)
    assert weights.shape == (2, 64, keys)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 64))
    assert count(layer) == 1.25 * 16**2 + 1


def test_attention_without_pooling_follows_any_permutation_of_positions():
    layer, maps = SelfAttention(16, pooled=False), torch.randn(1, 16, 4, 4)
    nn.init.ones_(layer.gamma)
    order = torch.randperm(16)
    shuffled = maps.flatten(2)[:, :, order].reshape_as(maps)
    torch.testing.assert_close(layer(shuffled), layer(maps).flatten(2)[:, :, order].reshape_as(maps))
    assert not torch.allclose(layer(maps), maps, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "asked", "found"), [(64, 32, 32), (32, 32, 16), (128, 64, 64), (48, 32, 24), (192, 64, 48)]
)
def test_attention_sits_at_the_size_that_was_asked_for(size, asked, found):
    seen = []
    with torch.device("meta"):
        networks = ResNetGenerator(size, 3, width=8, attention=asked), ResNetBackbone(size, 3, width=8, attention=asked)
        for network in networks:
            (layer,) = [module for module in network.modules() if isinstance(module, SelfAttention)]
            layer.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape[2:])))
        networks[1](networks[0](torch.empty(1, 128)))
    assert seen == [(found, found)] * 2


# Conditional batch norm -----------------------------------------------------------------------------------------------


def test_conditional_batch_norm_with_zero_weights_is_batch_norm():
    layer, plain, maps = ConditionalBatchNorm2d(4, 3), nn.BatchNorm2d(4), torch.randn(6, 4, 5, 5) * 3 + 1
    assert torch.equal(layer(maps, torch.randn(6, 3)), plain(maps))
    assert torch.equal(layer.norm.running_var, plain.running_var)
    assert torch.equal(layer.eval()(maps, torch.randn(6, 3)), plain.eval()(maps))


def test_conditional_batch_norm_is_each_classs_own_gain_and_shift():
    layer, maps, labels = ConditionalBatchNorm2d(4, 3), torch.randn(6, 4, 5, 5), torch.tensor([0, 1, 2, 2, 1, 0])
    nn.init.normal_(layer.gain.weight)
    nn.init.normal_(layer.shift.weight)
    normal = nn.BatchNorm2d(4, affine=False)(maps)
    for index, label in enumerate(labels):
        gain, shift = 1 + layer.gain.weight[:, label], layer.shift.weight[:, label]
        expected = normal[index] * gain[:, None, None] + shift[:, None, None]
        torch.testing.assert_close(layer(maps, one_hot(labels, 3).float())[index], expected)


@pytest.mark.parametrize("conditioning", ["concat", "batch_norm"])
@pytest.mark.parametrize("build", [DCGANGenerator, ResNetGenerator])
def test_the_class_changes_the_image_and_its_parameters_learn(build, conditioning):
    torch.manual_seed(0)
    network = build(16, 1, num_classes=3, width=8, conditioning=conditioning)
    for module in network.modules():
        if isinstance(module, ConditionalBatchNorm2d):
            nn.init.normal_(module.gain.weight)
    z = torch.randn(4, network.latent_dim)
    network(z, torch.tensor([0, 1, 2, 0])).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    images = [network.eval()(z, torch.full((4,), label)) for label in range(3)]
    assert not torch.allclose(images[0], images[1]) and not torch.allclose(images[1], images[2])


# Blocks and pooling ---------------------------------------------------------------------------------------------------


def test_the_shortcut_reads_what_the_residual_branch_was_given():
    for block in (DiscriminatorBlock(4, 4, halve=False), DiscriminatorBlock(4, 4, halve=True), GeneratorBlock(4, 4)):
        maps = torch.randn(2, 4, 8, 8)
        before = maps.clone()
        torch.testing.assert_close(block(maps), block.residual(before) + block.shortcut(before))
        assert torch.equal(maps, before)


def test_shortcuts_equal_the_papers_order_of_convolution_and_resampling():
    maps = torch.randn(2, 4, 8, 8)
    up, down = GeneratorBlock(4, 6).shortcut, DiscriminatorBlock(4, 6, halve=True).shortcut
    torch.testing.assert_close(up(maps), up[0](nn.functional.interpolate(maps, scale_factor=2)))
    torch.testing.assert_close(down(maps), nn.functional.avg_pool2d(down[1](maps), 2))


def test_features_are_summed_or_averaged_over_positions():
    torch.manual_seed(0)
    images = torch.randn(2, 1, 16, 16)
    summed = ResNetBackbone(16, 1, width=4, pooling="sum").eval()
    averaged = ResNetBackbone(16, 1, width=4, pooling="mean").eval()
    averaged.load_state_dict(summed.state_dict())
    assert (summed(images) >= 0).all()
    torch.testing.assert_close(summed(images), 64 * averaged(images))  # 8x8 positions


def test_spectral_norm_reaches_all_of_the_discriminator_and_nothing_conditional():
    network = discriminator(16, 3, width=4)
    rows = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding)]
    for layer in rows:
        for _ in range(200):
            weight = layer.weight
        assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-2)
    network = generator(16, 3, width=4, spectral_norm=True)
    plain = {name for name, _ in network.named_parameters() if name.endswith("weight")}
    assert plain == {name for name in plain if name.endswith(("gain.weight", "shift.weight"))} | {"image.0.weight"}


def test_weights_start_as_in_the_authors_code():
    backbone, network = ResNetBackbone(32, 3, spectral_norm=False), ResNetGenerator(32, 3)
    conv, shortcut = backbone.blocks[1].residual[1], backbone.blocks[1].shortcut[1]
    fans = 2 * 9 * 128
    assert conv.weight.std().item() == pytest.approx((2 * 2 / fans) ** 0.5, rel=0.02)  # Glorot with gain sqrt 2
    assert shortcut.weight.std().item() == pytest.approx((2 / (2 * 128)) ** 0.5, rel=0.03)
    assert network.image[2].weight.std().item() == pytest.approx((2 / (9 * 259)) ** 0.5, rel=0.05)
    assert not conv.bias.any()


def test_a_state_dict_goes_round_with_its_buffers():
    torch.manual_seed(0)
    build = partial(ResNetGenerator, 16, 1, 3, width=8, conditioning="batch_norm", spectral_norm=True, attention=8)
    network, twin = build(), build()
    z, labels = torch.randn(4, 128), torch.tensor([0, 1, 2, 0])
    network(z, labels)
    twin.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(z, labels), twin.eval()(z, labels))
