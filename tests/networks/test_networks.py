"""Parameter counts against the papers' own code, shapes, and what labels change."""

import pytest
import torch
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.networks import (
    DCGANBackbone,
    DCGANGenerator,
    Discriminator,
    LinearHead,
    MLP2dBackbone,
    MLP2dGenerator,
    MLPBackbone,
    MLPGenerator,
    ProjectionHead,
)


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: DCGANGenerator(64, 3), 3_576_704),
        (lambda: Discriminator(DCGANBackbone(64, 3)), 2_765_568),
        (lambda: DCGANGenerator(64, 3, width=128), 12_658_432),
        (lambda: Discriminator(DCGANBackbone(64, 3, width=128)), 11_036_160),
        (lambda: MLPGenerator(28, 1), 2_503_984),
        (lambda: Discriminator(MLPBackbone(28, 1)), 1_231_441),
        (lambda: MLP2dGenerator(width=512), 527_874),
        (lambda: Discriminator(MLP2dBackbone(width=512)), 527_361),
    ],
)
def test_parameter_counts_of_the_original_code(build, expected):
    with torch.device("meta"):
        assert count(build()) == expected


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_dcgans_first_layer_is_a_transposed_convolution(norm, memory_format):
    layer = DCGANGenerator(16, 3, latent_dim=5, width=8, norm=norm).to(memory_format=memory_format).layers[0]
    z = torch.randn(2, 5, requires_grad=True)
    expected = functional.conv_transpose2d(z[:, :, None, None], layer.weight, layer.bias)
    torch.testing.assert_close(layer(z), expected)
    (layer.weight.grad,) = torch.autograd.grad(layer(z).square().sum(), layer.weight)
    torch.testing.assert_close(layer.weight.grad, torch.autograd.grad(expected.square().sum(), layer.weight)[0])


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
def test_dcgan_makes_every_size_it_promises(size, channels, norm):
    with torch.device("meta"):
        generator = DCGANGenerator(size, channels, width=8, norm=norm)
        images = generator(torch.empty(2, 100))
        logits = Discriminator(DCGANBackbone(size, channels, width=8, norm=norm))(images).logits
    assert images.shape == (2, channels, size, size) and generator.image_shape == images.shape[1:]
    assert logits.shape == (2,)


@pytest.mark.parametrize("size", [0, 4, 28, 48, 512])
def test_other_sizes_are_a_sentence(size):
    with pytest.raises(UserError, match=rf"powers of two, not {size}: set data.image_size=\d+"):
        DCGANGenerator(size, 3)


def test_images_stay_within_their_range():
    z = torch.randn(16, 100) * 100
    for network in (DCGANGenerator(16, 1, width=8), MLPGenerator(16, 1, hidden=(32,))):
        images = network(z)
        assert images.min() >= -1 and images.max() <= 1 and images.shape == (16, 1, 16, 16)


def test_a_generator_with_classes_makes_another_image_of_another_class():
    network, z = DCGANGenerator(8, 1, num_classes=3, width=8).eval(), torch.randn(1, 100)
    images = [network(z, torch.tensor([label])) for label in range(3)]
    assert not torch.equal(images[0], images[1]) and not torch.equal(images[1], images[2])


def test_a_projection_head_differs_between_classes_by_the_embeddings_projection():
    head, features = ProjectionHead(4, num_classes=2), torch.randn(3, 4)
    zeros, ones = torch.zeros(3, dtype=torch.long), torch.ones(3, dtype=torch.long)
    assert torch.equal(head(features, zeros).logits, head(features, ones).logits)  # starts blind to labels
    torch.nn.init.normal_(head.embedding.weight)
    difference = head(features, ones).logits - head(features, zeros).logits
    expected = features @ (head.embedding.weight[1] - head.embedding.weight[0])
    torch.testing.assert_close(difference, expected)


def test_concatenated_labels_change_the_logit_and_none_is_needed_without():
    torch.manual_seed(0)
    images = torch.randn(2, 1, 8, 8)
    conditional = Discriminator(DCGANBackbone(8, 1, label_maps=3, width=8, norm="none"))
    first, second = (conditional(images, torch.full((2,), label)).logits for label in (0, 1))
    assert not torch.equal(first, second) and conditional.needs_labels
    assert not Discriminator(DCGANBackbone(8, 1, width=8)).needs_labels


def test_maxout_takes_the_largest_piece():
    backbone = MLPBackbone(2, 1, hidden=(3,), pieces=5, input_dropout=0, dropout=0)
    images = torch.randn(2, 1, 2, 2)
    linear = backbone.layers[2].linear
    pieces = (images.flatten(1) @ linear.weight.T + linear.bias).reshape(2, 3, 5)
    torch.testing.assert_close(backbone(images), pieces.max(2).values)


def test_networks_remember_how_they_were_built():
    from gan_lightning.modules.state import describe

    generator = DCGANGenerator(16, channels=1, width=8)
    told = describe(generator)
    assert told.pop("_target_") == "gan_lightning.networks.dcgan.DCGANGenerator"
    assert count(DCGANGenerator(**told)) == count(generator)
    told = describe(Discriminator(DCGANBackbone(16, 1), LinearHead))
    assert told["backbone"]["image_size"] == 16
