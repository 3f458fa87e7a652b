"""ProGAN: counts of the authors' code, growth without a jump, and the layers' closed forms."""

from functools import partial

import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, ProGANBackbone, ProGANGenerator, StyleGAN2Backbone
from gan_lightning.networks.layers.equalised import EqualisedConv2d, EqualisedLinear
from gan_lightning.networks.layers.minibatch import MinibatchStddev
from gan_lightning.networks.layers.pixel_norm import PixelNorm, pixel_norm
from gan_lightning.networks.layers.resample import average_pool, nearest_upsample


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("size", "generator", "discriminator"),
    [
        (1024, 23_079_115, 23_087_249),
        (256, 23_044_309, 23_052_353),
        (128, 22_933_394, 22_941_313),
        (32, 20_719_628, 20_726_785),
    ],
)
def test_parameter_counts_of_the_original_code(size, generator, discriminator):
    with torch.device("meta"):
        assert count(ProGANGenerator(size, 3)) == generator
        assert count(Discriminator(ProGANBackbone(size, 3))) == discriminator


def test_parameter_counts_with_the_last_rgb_layers_only():
    with torch.device("meta"):
        generator, discriminator = ProGANGenerator(1024, 3), Discriminator(ProGANBackbone(1024, 3))
    assert count(generator) - count(generator.to_rgb[:-1]) == 23_071_507
    assert count(discriminator) - count(discriminator.backbone.from_rgb[:-1]) == 23_077_137


@pytest.mark.parametrize("size", [8, 16, 64, 256, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_promised_size_is_made_at_every_stage(size, channels):
    with torch.device("meta"):
        generator = ProGANGenerator(size, channels, channel_max=8)
        backbone = ProGANBackbone(size, channels, channel_max=8)
        for level in range(generator.num_stages):
            generator.grow(level, 0.5)
            backbone.grow(level, 0.5)
            images = generator(torch.empty(4, 512))
            assert images.shape == (4, *generator.image_shape) == (4, channels, size, size)
            assert Discriminator(backbone)(images).logits.shape == (4,)


def test_other_sizes_are_a_sentence():
    with pytest.raises(UserError, match=r"progan makes images of 8 to 1024 .* set data.image_size=32"):
        ProGANGenerator(28, 1)


@pytest.fixture
def networks():
    torch.manual_seed(0)
    generator = ProGANGenerator(16, 3, latent_dim=8, channel_max=8).eval()
    return generator, Discriminator(ProGANBackbone(16, 3, channel_max=8)).eval()


@pytest.mark.parametrize("level", [1, 2])
def test_a_generator_grows_without_a_jump(networks, level):
    generator, z = networks[0], torch.randn(4, 8)
    generator.grow(level - 1)
    before = generator(z)
    generator.grow(level, 0.0)
    assert torch.equal(generator(z), before)
    generator.grow(level, 1.0)
    after = generator(z)
    generator.fading = True  # both branches, and alpha alone decides
    assert torch.equal(generator(z), after) and not torch.equal(after, before)
    generator.grow(level, 0.25)
    torch.testing.assert_close(generator(z), 0.75 * before + 0.25 * after)


@pytest.mark.parametrize("level", [1, 2])
def test_a_discriminator_grows_without_a_jump(networks, level):
    discriminator, images = networks[1], torch.randn(4, 3, 16, 16)
    backbone = discriminator.backbone
    backbone.grow(level - 1)
    before = discriminator(images).logits
    backbone.grow(level, 0.0)
    torch.testing.assert_close(discriminator(images).logits, before)
    blurred = nearest_upsample(average_pool(images, 2 * backbone.hidden_factor), 2 * backbone.hidden_factor)
    torch.testing.assert_close(discriminator(blurred).logits, before)  # it sees only what pooling leaves
    backbone.grow(level, 1.0)
    after = discriminator(images).logits
    backbone.fading = True
    assert torch.equal(discriminator(images).logits, after) and not torch.equal(after, before)


def test_images_of_an_earlier_stage_are_repeated_pixels(networks):
    generator = networks[0]
    generator.grow(0)
    images = generator(torch.randn(2, 8))
    assert torch.equal(images, nearest_upsample(images[:, :, ::4, ::4], 4))


def test_only_the_stage_in_use_gets_gradients(networks):
    generator, discriminator = networks
    for network in (generator, discriminator.backbone):
        network.grow(1, 0.5)
    discriminator(generator(torch.randn(4, 8))).logits.sum().backward()
    for network, rgb in ((generator, generator.to_rgb), (discriminator.backbone, discriminator.backbone.from_rgb)):
        assert [layer_has_gradient(layer) for layer in rgb] == [True, True, False]
        last = network.blocks[-1]
        assert not layer_has_gradient(last)


def layer_has_gradient(layer):
    return all(p.grad is not None for p in layer.parameters())


def test_the_stage_is_part_of_the_state(networks):
    generator = networks[0]
    generator.grow(1, 0.25)
    copy = ProGANGenerator(16, 3, latent_dim=8, channel_max=8).eval()
    copy.load_state_dict(generator.state_dict())
    assert copy.level == 1 and copy.fading
    z = torch.randn(2, 8)
    assert torch.equal(copy(z), generator(z))


def test_labels_change_the_image_and_the_logit():
    torch.manual_seed(0)
    generator = ProGANGenerator(8, 1, num_classes=3, latent_dim=4, channel_max=8)
    discriminator = Discriminator(ProGANBackbone(8, 1, label_maps=3, channel_max=8))
    z, labels = torch.randn(2, 4), [torch.full((2,), label) for label in (0, 1)]
    images = [generator(z, label) for label in labels]
    assert not torch.allclose(*images)
    assert not torch.allclose(*[discriminator(images[0], label).logits for label in labels])


def test_pixel_normed_maps_have_unit_mean_square():
    torch.testing.assert_close(pixel_norm(torch.tensor([[3.0, 4.0]])), torch.tensor([[0.8485281, 1.1313708]]))
    maps = PixelNorm()(torch.randn(2, 16, 4, 4) * 7)
    torch.testing.assert_close(maps.square().mean(1), torch.ones(2, 4, 4))


def test_maps_within_the_generator_have_unit_mean_square(networks):
    seen = []
    for layer in networks[0].modules():
        if isinstance(layer, PixelNorm):
            layer.register_forward_hook(lambda layer, inputs, maps: seen.append(maps))
    networks[0](torch.randn(2, 8))
    assert len(seen) == 2 + 2 + 2
    for maps in seen:
        torch.testing.assert_close(maps.square().mean(1), torch.ones_like(maps[:, 0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("gain", [1.0, 2**0.5])
@pytest.mark.parametrize("lr_multiplier", [1.0, 0.01])
def test_an_equalised_layer_keeps_the_variance_times_gain_squared(gain, lr_multiplier):
    torch.manual_seed(0)
    layer = EqualisedLinear(512, 512, gain=gain, lr_multiplier=lr_multiplier)
    assert layer(torch.randn(256, 512)).var().item() == pytest.approx(gain**2, rel=0.03)
    assert layer.weight.std().item() == pytest.approx(1 / lr_multiplier, rel=0.01)
    convolution = EqualisedConv2d(64, 128, 3, gain=gain, padding=0)
    assert convolution(torch.randn(32, 64, 8, 8)).var().item() == pytest.approx(gain**2, rel=0.05)


def test_a_learning_rate_multiplier_scales_the_step_and_not_the_start():
    moves = []
    for multiplier in (1.0, 0.01):
        layer = EqualisedLinear(8, 8, lr_multiplier=multiplier, bias_value=1.0)
        x, optimizer = torch.ones(1, 8), torch.optim.Adam(layer.parameters(), lr=1e-3)
        torch.testing.assert_close(layer(torch.zeros(1, 8)), torch.ones(1, 8))
        before = layer(x)
        before.sum().backward()
        optimizer.step()
        moves.append((layer(x) - before).mean().item())
    assert moves[1] == pytest.approx(0.01 * moves[0], rel=1e-2)


def test_the_score_of_a_fresh_discriminator_is_equalised():
    """Features are scaled by 1 / sqrt(F) and the head's weights are N(0, 1), so a score has their mean square."""
    torch.manual_seed(0)
    discriminator = Discriminator(ProGANBackbone(8, 3))
    assert discriminator.head.linear.weight.std().item() == pytest.approx(1.0, abs=0.1)
    features = discriminator.backbone(torch.randn(4, 3, 8, 8))
    assert 0.05 < features.square().sum(1).mean() < 5


def test_minibatch_stddev_is_the_population_deviation_of_strided_groups():
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None, None, None].expand(4, 3, 2, 2)
    maps = MinibatchStddev(4)(values)
    assert maps.shape == (4, 4, 2, 2) and torch.equal(maps[:, :3], values)
    torch.testing.assert_close(maps[:, 3], torch.full((4, 2, 2), 1.25**0.5))
    strided = torch.tensor([0.0, 5.0, 2.0, 5.0])[:, None, None, None].expand(4, 3, 2, 2)
    deviation = MinibatchStddev(2)(strided)[:, 3, 0, 0]  # 0 with 2, 1 with 3
    torch.testing.assert_close(deviation, torch.tensor([1.0, 1e-4, 1.0, 1e-4]))


def test_minibatch_stddev_of_several_channels_and_of_batches_that_do_not_divide():
    images = torch.randn(6, 4, 2, 2)
    maps = MinibatchStddev(4, channels=2)(images)  # groups of three
    groups = images.reshape(3, 2, 2, -1)
    expected = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean(2).repeat(3, 1)
    torch.testing.assert_close(maps[:, 4:, 0, 0], expected)
    assert MinibatchStddev(4)(images[:1]).shape == (1, 5, 2, 2)
    torch.testing.assert_close(MinibatchStddev(4)(images[:1])[:, 4], torch.full((1, 2, 2), 1e-4))


@pytest.mark.parametrize("backbone", [ProGANBackbone, partial(ProGANBackbone, blur=True), StyleGAN2Backbone])
def test_without_the_map_of_deviations_samples_are_judged_alone(backbone):
    torch.manual_seed(0)
    images = torch.randn(4, 1, 8, 8)
    networks = [backbone(8, 1, channel_max=8, group_size=size) for size in (4, 0)]
    moved = torch.cat([images[:1], images[1:] * 3])
    with_map, without = [(network(moved) - network(images))[0].abs().max().item() for network in networks]
    assert with_map > 1e-4 and without < 1e-6
    counts = [sum(p.numel() for p in network.parameters()) for network in networks]
    assert counts[0] - counts[1] == 9 * 8  # the map's column in the 3x3 convolution to 8 channels
    with pytest.raises(UserError, match="group_size=-1 is out of range"):
        backbone(8, 1, group_size=-1)
