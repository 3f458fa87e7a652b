"""Truncation and style mixing: the right law, the identities at the ends, and each sample on its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.inference.load import LoadedGenerator, load
from gan_lightning.inference.refinements import truncate_latents, truncate_styles
from gan_lightning.inference.sampling import latents
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.networks.dcgan import DCGANGenerator
from gan_lightning.networks.stylegan2 import StyleGAN2Generator

Make = Callable[..., Any]
Save = Callable[..., Path]


@pytest.fixture
def plain(network: DCGANGenerator, saved: Save, checkpoint: Make) -> LoadedGenerator:
    return load(saved(checkpoint(network)))


@pytest.fixture
def styled(saved: Save, checkpoint: Make) -> LoadedGenerator:
    torch.manual_seed(0)
    network = StyleGAN2Generator(16, 1, latent_dim=6, style_dim=5, mapping_layers=2, channel_base=64)
    network.mapping.w_avg.normal_()
    return load(saved(checkpoint(network), "styled.ckpt"))


@pytest.mark.parametrize("bound", [0.04, 0.5, 2.0])
def test_truncated_normal_latents_have_the_truncated_normal_law(bound: float) -> None:
    z = truncate_latents(torch.randn(20_000, 2), bound, "normal", 0, seed=1).double()
    share = math.erf(bound / math.sqrt(2))
    density = math.exp(-(bound**2) / 2) / math.sqrt(2 * math.pi)
    assert z.abs().max() <= bound
    assert z.var().item() == pytest.approx(1 - 2 * bound * density / share, rel=0.03)
    levels = torch.erf(z.flatten().sort().values / math.sqrt(2)) / share / 2 + 0.5  # uniform if the law is right
    assert (levels - torch.linspace(0, 1, len(levels), dtype=torch.float64)).abs().max() < 0.012


def test_truncated_uniform_latents_are_uniform_within_the_bound() -> None:
    z = truncate_latents((torch.rand(20_000, 2) * 2 - 1) * math.sqrt(3), 0.7, "uniform", 0, seed=1)
    levels = z.flatten().sort().values / 1.4 + 0.5
    assert z.abs().max() <= 0.7 and (levels - torch.linspace(0, 1, len(levels))).abs().max() < 0.012


def test_latents_within_the_bound_stay(plain: LoadedGenerator) -> None:
    z = latents(plain.network, 0, 200, 3)
    found = truncate_latents(z, 1.0, "normal", 0, 3)
    within = z.abs() <= 1
    assert torch.equal(found[within], z[within]) and not (found == z)[~within].any()
    assert torch.equal(plain.sample(9, truncation=50.0), plain.sample(9))


def test_a_truncated_sample_hangs_on_its_index_alone(plain: LoadedGenerator, styled: LoadedGenerator) -> None:
    for loaded in (plain, styled):
        whole = loaded.generate(0, 150, 2, batch_size=150, truncation=0.5)
        parts = [loaded.generate(a, b, 2, batch_size=37, truncation=0.5) for a, b in ((0, 10), (10, 70), (70, 150))]
        assert torch.allclose(torch.cat(parts), whole, atol=1e-5)
        assert not torch.allclose(whole, loaded.generate(0, 150, 2), atol=1e-3)


def test_codes_are_not_truncated(weathered: Make, saved: Save, checkpoint: Make) -> None:
    codes = LatentCodes((3,), 1)
    network = weathered(DCGANGenerator(8, 1, latent_dim=8, width=4))
    loaded, seen = load(saved(checkpoint(network, codes=codes.plain()))), []
    loaded.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    loaded.sample(20, truncation=0.1)
    loaded.sample(20)
    assert torch.equal(seen[0][:, 4:], seen[1][:, 4:]) and seen[0][:, :4].abs().max() <= 0.1


def test_psi_moves_styles_on_the_line_to_the_average() -> None:
    styles, average = torch.randn(3, 4, 5), torch.randn(5)
    assert torch.equal(truncate_styles(styles, average, 1.0), styles)
    assert torch.equal(truncate_styles(styles, average, 0.0), average.expand(3, 4, 5))
    half = truncate_styles(styles, average, 0.5, layers=2)
    assert torch.allclose(half[:, :2], (styles[:, :2] + average) / 2, atol=1e-6)
    assert torch.equal(half[:, 2:], styles[:, 2:])


def test_psi_one_is_plain_sampling_and_psi_zero_is_the_mean_image(styled: LoadedGenerator) -> None:
    plain = styled.generate(0, 6)
    assert torch.equal(styled.generate(0, 6, truncation=1), plain) and plain.std(0).max() > 0.1
    average = styled.network.mapping.w_avg.expand(1, styled.network.num_styles, -1)
    mean = styled.network.synthesis(average)
    assert torch.allclose(styled.generate(0, 6, truncation=0), mean.expand(6, -1, -1, -1), atol=1e-5)
    first = styled.generate(0, 6, truncation=0, truncation_layers=styled.network.num_styles)
    assert torch.equal(first, styled.generate(0, 6, truncation=0))


def test_mixing_takes_later_layers_from_the_other_seed(styled: LoadedGenerator) -> None:
    network = styled.network
    first, second = (network.styles(latents(network, 0, 5, seed)) for seed in (1, 2))
    expected = network.synthesis(torch.cat([first[:, :2], second[:, 2:]], 1))
    assert torch.allclose(styled.generate(0, 5, 1, mix_seed=2, mix_layer=2), expected, atol=1e-5)
    assert torch.allclose(styled.generate(0, 5, 1, mix_seed=1), styled.generate(0, 5, 1), atol=1e-5)
    whole = styled.generate(0, 8, 1, mix_seed=2)
    assert torch.allclose(styled.generate(3, 8, 1, mix_seed=2), whole[3:], atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"truncation": 0.0}, "it bounds |z|"),
        ({"truncation": math.nan}, "it bounds |z|"),
        ({"truncation": 1.0, "truncation_layers": 1}, "DCGANGenerator has no styles: leave truncation_layers out"),
        ({"truncation_layers": 1}, "truncation_layers does nothing without truncation"),
        ({"mix_seed": 1}, "DCGANGenerator has no styles: leave mix_seed out"),
        ({"mix_layer": 1}, "mix_layer does nothing without mix_seed"),
    ],
)
def test_what_a_plain_generator_cannot_do_is_a_sentence(
    plain: LoadedGenerator, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError) as error:
        plain.sample(2, **options)
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"truncation": math.inf}, "truncation=inf is no number"),
        ({"truncation": 0.5, "truncation_layers": 7}, "takes 1 to 6"),
        ({"mix_seed": 1, "mix_layer": 6}, "takes 1 to 5"),
        ({"standing_batches": 4}, "StyleGAN2Generator has no batch-norm statistics"),
        ({"mix_seed": 1, "rejection": True}, "Only one of mix_seed, rejection and langevin_steps"),
    ],
)
def test_what_a_style_generator_cannot_do_is_a_sentence(
    styled: LoadedGenerator, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        styled.sample(2, **options)
