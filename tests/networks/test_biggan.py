"""BigGAN and BigGAN-deep: counts of the authors' code, shapes, the chunks of z, identities, routing."""

from functools import partial

import pytest
import torch
from torch import nn

from gan_lightning.errors import UserError
from gan_lightning.networks import (
    BigGANDeepBackbone,
    BigGANDeepGenerator,
    BigGANGenerator,
    Discriminator,
    ProjectionHead,
    ResNetBackbone,
)
from gan_lightning.networks.biggan_deep import DeepDiscriminatorBlock, DeepGeneratorBlock
from gan_lightning.networks.layers.normalisation import ConditionalBatchNorm2d

GENERATORS = [BigGANGenerator, BigGANDeepGenerator]
BIG = {"wide": True, "attention": 64, "initialisation": "orthogonal"}


def count(network):
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def discriminator(backbone, classes):
    return Discriminator(backbone, partial(ProjectionHead, num_classes=classes))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: BigGANGenerator(128, 3, 1000), 70_433_988),
        (lambda: discriminator(ResNetBackbone(128, 3, width=96, **BIG), 1000), 87_982_370),
        (lambda: BigGANGenerator(256, 3, 1000, latent_dim=140), 82_235_844),
        (lambda: discriminator(ResNetBackbone(256, 3, width=96, **BIG), 1000), 99_225_890),
        (lambda: BigGANGenerator(32, 3, 10, latent_dim=80), 9_416_196),
        (lambda: discriminator(ResNetBackbone(32, 3, width=96, **BIG), 10), 2_415_170),
        (lambda: BigGANDeepGenerator(128, 3, 1000), 50_244_484),
        (lambda: discriminator(BigGANDeepBackbone(128, 3), 1000), 34_590_210),
    ],
)
def test_parameter_counts_of_the_published_code(build, expected):
    with torch.device("meta"):
        assert count(build()) == expected


@pytest.mark.parametrize("size", [16, 32, 48, 64, 96, 128, 192, 256])
@pytest.mark.parametrize(("channels", "classes"), [(1, 0), (3, 5)])
@pytest.mark.parametrize("build", GENERATORS)
@torch.no_grad()
def test_every_size_they_promise(size, channels, classes, build):
    labels = torch.zeros(2, dtype=torch.long) if classes else None
    network = build(size, channels, classes, width=4)
    images = network(torch.zeros(2, network.latent_dim), labels)
    for backbone in (ResNetBackbone(size, channels, classes, 4, **BIG), BigGANDeepBackbone(size, channels, classes, 4)):
        assert Discriminator(backbone)(images, labels).logits.shape == (2,)
    assert images.shape == (2, channels, size, size) and network.image_shape == images.shape[1:]


def test_each_chunk_of_z_sets_its_own_block():
    torch.manual_seed(0)
    network = BigGANGenerator(16, 1, 3, width=4).eval()
    assert network.latent_dim == 60 and network.chunk == 20
    z, labels, seen = torch.randn(2, 60), torch.tensor([0, 2]), []
    for module in network.modules():
        if isinstance(module, ConditionalBatchNorm2d):
            module.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    network(z, labels)
    expected = [torch.cat([network.embedding(labels), z[:, 20 * k : 20 * k + 20]], 1) for k in (1, 1, 2, 2)]
    assert all(torch.equal(a, b) for a, b in zip(seen, expected, strict=True))
    assert network.linear.in_features == 20


@pytest.mark.parametrize(("latent_dim", "nearest"), [(128, 126), (5, 6)])
def test_a_latent_that_does_not_split_is_a_sentence(latent_dim, nearest):
    with pytest.raises(UserError, match=rf"into 6 chunks .*latent_dim={nearest}, or null for 120"):
        BigGANGenerator(128, 3, latent_dim=latent_dim)


@pytest.mark.parametrize("build", GENERATORS)
def test_the_class_changes_the_image_and_everything_learns(build):
    torch.manual_seed(0)
    network = build(16, 1, 3, width=8)
    z = torch.randn(4, network.latent_dim)
    with pytest.raises(UserError, match="got no labels"):
        network(z)
    nn.init.ones_(next(parameter for name, parameter in network.named_parameters() if name.endswith("gamma")))
    network(z, torch.tensor([0, 1, 2, 0])).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    images = [network.eval()(z, torch.full((4,), label)) for label in range(3)]
    assert not torch.allclose(images[0], images[1]) and not torch.allclose(images[1], images[2])


@pytest.mark.parametrize("build", GENERATORS)
def test_all_convolutions_and_linear_layers_are_normalised_and_start_orthogonal(build):
    network = build(16, 1, 3, width=8)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        matrix = layer.weight.flatten(1)
        values = torch.linalg.svdvals(matrix)
        torch.testing.assert_close(values, torch.ones_like(values), atol=1e-3, rtol=0)
    assert not hasattr(network.embedding, "parametrizations")


def test_deep_shortcuts_drop_or_append_channels():
    block = DeepGeneratorBlock(8, 4, True, 2)
    for parameter in block.residual[-1].parameters():
        nn.init.zeros_(parameter)
    maps = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(maps, torch.randn(2, 2)), maps[:, :4].repeat_interleave(2, 2).repeat_interleave(2, 3))
    block = DeepDiscriminatorBlock(4, 8, halve=True)
    for parameter in block.residual[-1].parameters():
        nn.init.zeros_(parameter)
    maps = torch.randn(2, 4, 8, 8)
    pooled, before = nn.functional.avg_pool2d(maps, 2), maps.clone()
    torch.testing.assert_close(block(maps), torch.cat([pooled, block.further(pooled)], 1))
    assert torch.equal(maps, before)


@pytest.mark.parametrize("build", GENERATORS)
def test_a_state_dict_goes_round_with_its_buffers(build):
    torch.manual_seed(0)
    network, twin = build(16, 1, 3, width=8), build(16, 1, 3, width=8)
    z, labels = torch.randn(4, network.latent_dim), torch.tensor([0, 1, 2, 0])
    network(z, labels)
    twin.load_state_dict(network.state_dict())
    assert torch.equal(network.eval()(z, labels), twin.eval()(z, labels))


def test_the_backbone_learns_from_its_head_down():
    network = discriminator(BigGANDeepBackbone(16, 1, width=8), 3)
    nn.init.ones_(next(parameter for name, parameter in network.named_parameters() if name.endswith("gamma")))
    network(torch.randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 0])).logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
