"""StyleGAN: counts, growth without a jump, instance norm's styles, and the mixing of styles."""

import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, ProGANBackbone, StyleGAN2Generator, StyleGANGenerator
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.networks.stylegan import AdaptiveInstanceNorm

SMALL = {"latent_dim": 8, "style_dim": 16, "mapping_layers": 2, "channel_max": 8}


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def small(size=16, network=StyleGANGenerator, **options):
    torch.manual_seed(0)
    return network(size, 3, **{**SMALL, **options}).eval()


def test_parameter_counts_of_the_original_code():
    with torch.device("meta"):
        generator = StyleGANGenerator(1024, 3)
        assert count(generator) == 26_219_627
        assert count(generator.mapping) == 2_101_248
        assert count(Discriminator(ProGANBackbone(1024, 3, blur=True))) == 23_087_249


@pytest.mark.parametrize("size", [8, 32, 128, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_promised_size_is_made_at_every_stage(size, channels):
    with torch.device("meta"):
        generator = StyleGANGenerator(size, channels, channel_max=8)
        for level in range(generator.synthesis.num_stages):
            generator.synthesis.grow(level, 0.5)
            assert generator(torch.empty(2, 512)).shape == (2, channels, size, size)


@pytest.mark.parametrize("level", [1, 2])
def test_a_generator_grows_without_a_jump(level):
    generator, z = small(), torch.randn(4, 8)
    generator.synthesis.grow(level - 1)
    before = generator(z)
    generator.synthesis.grow(level, 0.0)
    assert torch.equal(generator(z), before)
    generator.synthesis.grow(level, 1.0)
    after = generator(z)
    generator.synthesis.fading = True
    assert torch.equal(generator(z), after) and not torch.equal(after, before)


def test_a_style_sets_mean_and_deviation_of_each_map():
    torch.manual_seed(0)
    norm, styles = AdaptiveInstanceNorm(4, 8), torch.randn(2, 8)
    scale, shift = norm.affine(styles).chunk(2, 1)
    maps = norm(torch.randn(2, 4, 16, 16) * 5 + 3, styles)
    torch.testing.assert_close(maps.mean((2, 3)), shift, atol=1e-5, rtol=0)
    torch.testing.assert_close(maps.std((2, 3), unbiased=False), (1 + scale).abs(), atol=1e-4, rtol=1e-4)


def test_styles_are_equal_in_all_layers_unless_mixed():
    generator, z, second = small(), torch.randn(3, 8), torch.randn(3, 8)
    styles = generator.styles(z)
    assert styles.shape == (3, 6, 16)
    assert torch.equal(styles, styles[:, :1].expand_as(styles))
    mixed = generator.styles(z, None, second, torch.tensor([1, 4, 6]))
    other = generator.styles(second)
    for row, crossover in enumerate((1, 4, 6)):
        assert torch.equal(mixed[row, :crossover], styles[row, :crossover])
        assert torch.equal(mixed[row, crossover:], other[row, crossover:])
    assert torch.equal(mixed[2], styles[2]) and not torch.equal(mixed[0], styles[0])


def test_mixed_images_have_one_code():
    generator, z, second = small(), torch.randn(2, 8), torch.randn(2, 8)
    generator.codes = LatentCodes((3,), 1)
    mixed = generator.styles(z, None, second, torch.tensor([1, 6]))
    other = generator.styles(torch.cat([second[:, :4], z[:, 4:]], 1))
    assert torch.equal(mixed[0, 1:], other[0, 1:]) and not torch.equal(mixed[0, 1:], generator.styles(second)[0, 1:])


@pytest.mark.parametrize(("network", "layers"), [(StyleGANGenerator, 18), (StyleGAN2Generator, 18)])
def test_crossovers_lie_between_the_first_and_the_last_layer(network, layers):
    with torch.device("meta"):
        generator = network(1024, 3, mixing=0.9)
    drawn = generator.training_inputs(20_000, torch.Generator().manual_seed(0))
    mixed = drawn["crossover"][drawn["crossover"] < layers]
    assert drawn["crossover"].max() == layers and drawn["second"].shape == (20_000, 512)
    assert mixed.unique().tolist() == list(range(1, layers))
    assert len(mixed) / 20_000 == pytest.approx(0.9, abs=0.01)
    generator.mixing = 0.0
    assert generator.training_inputs(4, torch.Generator()) == {}


def test_early_stages_mix_the_layers_they_have():
    generator = small()
    generator.synthesis.grow(0)
    assert generator.num_styles == 2
    drawn = generator.training_inputs(100, torch.Generator().manual_seed(0))
    assert drawn["crossover"].unique().tolist() == [1, 2]


def test_the_average_w_follows_training_only():
    generator, z = small(), torch.randn(64, 8)
    generator(z)
    assert generator.mapping.w_avg.eq(0).all()
    generator.train()
    generator(z, None, torch.randn(64, 8), torch.full((64,), 3))
    w = generator.mapping(z)
    torch.testing.assert_close(generator.mapping.w_avg, 0.005 * w.mean(0))


def test_truncating_the_styles_fully_gives_one_image():
    generator = small().train()
    for _ in range(3):
        generator(torch.randn(8, 8))
    generator.eval()
    styles, average = generator.styles(torch.randn(4, 8)), generator.mapping.w_avg
    images = generator.synthesis(average.lerp(styles, 0.0))
    torch.testing.assert_close(images, images[:1].expand_as(images))
    torch.testing.assert_close(generator.synthesis(average.lerp(styles, 1.0)), generator.synthesis(styles))


@pytest.mark.parametrize("network", [StyleGANGenerator, StyleGAN2Generator])
def test_noise_is_drawn_in_training_and_fixed_in_evaluation(network):
    generator, z = small(network=network), torch.randn(2, 8)
    silent = generator(z)
    for name, parameter in generator.named_parameters():
        if name.endswith("strength"):
            torch.nn.init.ones_(parameter)
    state = torch.get_rng_state()
    assert torch.equal(generator(z), generator(z)) and not torch.equal(generator(z), silent)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.allclose(generator(z)[1:], generator(z[1:]), atol=1e-5)  # whatever else is in the batch
    generator.train()
    assert not torch.equal(generator(z), generator(z))


@pytest.mark.parametrize("network", [StyleGANGenerator, StyleGAN2Generator])
def test_the_class_enters_the_mapping(network):
    generator, z = small(network=network, num_classes=3), torch.randn(2, 8)
    images = [generator(z, torch.full((2,), label)) for label in range(3)]
    assert not torch.allclose(images[0], images[1]) and not torch.allclose(images[1], images[2])
    with pytest.raises(UserError, match="no labels"):
        generator(z)


@pytest.mark.parametrize("network", [StyleGANGenerator, StyleGAN2Generator])
def test_all_parameters_get_gradients_and_the_state_makes_the_same_image(network):
    generator, z = small(network=network), torch.randn(2, 8)
    (generator(z) * torch.randn(2, 3, 16, 16)).sum().backward()
    unused = {n for n, p in generator.named_parameters() if p.grad is None}
    earlier = {f"synthesis.to_rgb.{k}.{part}" for k in (0, 1) for part in ("weight", "bias")}
    assert unused == (earlier if network is StyleGANGenerator else set())  # a grown StyleGAN has one RGB layer in use
    torch.manual_seed(5)
    copy = network(16, 3, **SMALL).eval()
    copy.load_state_dict(generator.state_dict())
    assert torch.equal(copy(z), generator(z))
