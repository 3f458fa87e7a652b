"""StyleGAN2: counts, modulated convolutions' closed forms, filters, and ADA's class conditioning."""

from functools import partial

import pytest
import torch
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, MappedProjectionHead, StyleGAN2Backbone, StyleGAN2Generator
from gan_lightning.networks.layers.modulated import ModulatedConv2d, demodulation
from gan_lightning.networks.layers.resample import (
    Blur,
    Downsample,
    Filter,
    Upsample,
    average_pool,
    nearest_upsample,
)


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("size", "base", "generator", "discriminator"),
    [
        (1024, 32768, 30_370_060, 29_012_513),
        (256, 32768, 30_034_338, 28_864_129),
        (256, 16384, 24_767_458, 24_001_089),
    ],
)
def test_parameter_counts_of_the_original_code(size, base, generator, discriminator):
    with torch.device("meta"):
        made = StyleGAN2Generator(size, 3, channel_base=base)
        assert count(made) == generator and count(made.mapping) == 2_101_248
        assert count(Discriminator(StyleGAN2Backbone(size, 3, channel_base=base))) == discriminator


@pytest.mark.parametrize(
    ("classes", "generator", "discriminator"), [(0, 19_947_539, 20_720_641), (10, 20_215_315, 23_089_664)]
)
def test_parameter_counts_of_ada_on_cifar(classes, generator, discriminator):
    head = [partial(MappedProjectionHead, num_classes=classes)] if classes else []
    with torch.device("meta"):
        assert count(StyleGAN2Generator(32, 3, num_classes=classes, mapping_layers=2)) == generator
        backbone = StyleGAN2Backbone(32, 3, architecture="orig", group_size=32)
        assert count(Discriminator(backbone, *head)) == discriminator


@pytest.mark.parametrize("size", [8, 16, 64, 512, 1024])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("architecture", ["resnet", "orig"])
def test_every_promised_size_is_made(size, channels, architecture):
    with torch.device("meta"):
        generator = StyleGAN2Generator(size, channels, channel_max=8)
        images = generator(torch.empty(4, 512))
        backbone = StyleGAN2Backbone(size, channels, channel_max=8, architecture=architecture)
        assert Discriminator(backbone)(images).logits.shape == (4,)
    assert images.shape == (4, *generator.image_shape) == (4, channels, size, size)


def test_other_sizes_and_architectures_are_a_sentence():
    with pytest.raises(UserError, match=r"stylegan2 makes images of 8 to 1024 .* set data.image_size=32"):
        StyleGAN2Generator(28, 1)
    with pytest.raises(UserError, match="architecture=skip"):
        StyleGAN2Backbone(8, 1, architecture="skip")


# Modulation ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return ModulatedConv2d(6, 5, 3, style_dim=4)


def filters(layer, styles):
    """Return each sample's own filters `(N, O, I, k, k)`."""
    scales, weight = layer.affine(styles), layer.weight * layer.scale
    scaled = weight * scales[:, None, :, None, None]
    return scaled * demodulation(weight, scales)[:, :, None, None, None]


def test_a_demodulated_filter_has_unit_norm(layer):
    norms = filters(layer, torch.randn(7, 4)).flatten(2).norm(dim=2)
    torch.testing.assert_close(norms, torch.ones(7, 5))


def test_scaling_images_is_scaling_filters(layer):
    """A convolution grouped by sample, each with its own filters, gives the same."""
    images, styles = torch.randn(3, 6, 8, 8), torch.randn(3, 4)
    grouped = functional.conv2d(images.reshape(1, 18, 8, 8), filters(layer, styles).flatten(0, 1), padding=1, groups=3)
    torch.testing.assert_close(layer(images, styles), grouped.reshape(3, 5, 8, 8), atol=1e-5, rtol=1e-5)


def test_the_scale_of_a_style_is_of_no_consequence(layer):
    images, styles = torch.randn(3, 6, 8, 8), torch.randn(3, 4)
    before = layer(images, styles)
    with torch.no_grad():
        layer.affine.weight *= 100
        layer.affine.bias *= 100
    torch.testing.assert_close(layer(images, styles), before, atol=1e-4, rtol=1e-4)


def test_inputs_of_unit_variance_come_out_so():
    torch.manual_seed(0)
    layer = ModulatedConv2d(64, 64, 3, style_dim=16)
    images = layer(torch.randn(16, 64, 18, 18), torch.randn(16, 16))[:, :, 1:-1, 1:-1]
    assert images.std().item() == pytest.approx(1.0, abs=0.01)


def test_upsampling_within_the_convolution_is_upsampling_before_it():
    """Zeros between the pixels, the convolution (turned, being transposed), then the filter, away from the border."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(3, 4, 3, style_dim=2, demodulate=False, upsample=True)
    images, styles = torch.randn(2, 3, 8, 8), torch.randn(2, 2)
    scaled = images * layer.affine(styles)[:, :, None, None]
    expected = functional.conv2d(Upsample()(scaled), (layer.weight * layer.scale).flip(2, 3), padding=1)
    made = layer(images, styles)
    assert made.shape == (2, 4, 16, 16)
    torch.testing.assert_close(made[:, :, 3:-3, 3:-3], expected[:, :, 3:-3, 3:-3], atol=1e-5, rtol=1e-5)


# Resampling ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resample", [Blur(), Upsample(), Downsample(), Filter(padding=(1, 2))])
def test_filters_preserve_a_constant(resample):
    inner = resample(torch.full((1, 2, 16, 16), 3.0))[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.full_like(inner, 3.0))


def test_filters_set_sizes_and_treat_channels_alike():
    images = torch.randn(2, 3, 8, 8)
    assert Upsample()(images).shape[2:] == (16, 16) and Downsample()(images).shape[2:] == (4, 4)
    assert Blur()(images).shape == images.shape
    for resample in (Blur(), Upsample(), Downsample()):
        torch.testing.assert_close(resample(images)[:, 1:2], resample(images[:, 1:2]))


def test_upsampling_interpolates_a_ramp():
    """The taps 1, 3, 3, 1 put new pixels a quarter and three quarters of the way, as linear interpolation does."""
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    expected = functional.interpolate(ramp, scale_factor=2, mode="bilinear")
    torch.testing.assert_close(Upsample()(ramp)[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])


def test_pooling_undoes_repetition():
    images = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(average_pool(nearest_upsample(images, 4), 4), images)


def test_up_and_down_are_adjoint_but_for_the_gain():
    """<up x, y> = 4 <x, down y>, borders and all."""
    x, y = torch.randn(1, 2, 8, 8), torch.randn(1, 2, 16, 16)
    torch.testing.assert_close((Upsample()(x) * y).sum(), 4 * (x * Downsample()(y)).sum())


# Conditioning --------------------------------------------------------------------------------------------------------


def test_a_mapped_projection_scores_the_class():
    torch.manual_seed(0)
    head = partial(MappedProjectionHead, num_classes=3, embedding_dim=6, mapping_layers=2)
    discriminator = Discriminator(StyleGAN2Backbone(8, 1, channel_max=8), head)
    images, labels = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    output = discriminator(images, labels)
    scores, classes = discriminator.head.linear(output.features), discriminator.head.mapping(None, labels)
    torch.testing.assert_close(output.logits, (scores * classes).sum(1) / 6**0.5)
    assert not torch.allclose(output.logits, discriminator(images, labels.roll(1)).logits)
    assert discriminator.needs_labels
