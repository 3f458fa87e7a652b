"""Langevin sampling: still without steps, and at its stationary law on a quadratic energy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gan_lightning.errors import UserError
from gan_lightning.inference.load import load
from gan_lightning.inference.refinements import reflect, walk
from gan_lightning.inference.sampler import Options, Sampler
from gan_lightning.networks.dcgan import DCGANBackbone, DCGANGenerator
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.heads import ProjectionHead
from tests.inference.toys import Judge, Line

Make = Callable[..., Any]
Save = Callable[..., Path]


def test_no_step_is_the_identity_and_one_step_is_the_formula() -> None:
    z, noise = torch.randn(5, 2), torch.randn(5, 2)
    log_density = lambda at: -(at**4).sum(1)  # noqa: E731
    assert walk(z, log_density, 0, 0.1, lambda _: noise) is z
    expected = z + 0.05 * (-4 * z**3) + 0.1**0.5 * noise
    assert torch.allclose(walk(z, log_density, 1, 0.1, lambda _: noise), expected, atol=1e-6)


def test_a_quadratic_energy_has_its_stationary_variance() -> None:
    """On z^2 / (2 s^2) the walk is autoregressive: its variance tends to s^2 / (1 - step / (4 s^2))."""
    stream, s, step = torch.Generator().manual_seed(0), 0.5, 0.2
    z = walk(
        torch.full((20_000, 1), 3.0),
        lambda at: -at.square().sum(1) / (2 * s**2),
        60,
        step,
        lambda _: torch.randn(20_000, 1, generator=stream),
    )
    assert z.mean().abs() < 0.02 and z.var().item() == pytest.approx(s**2 / (1 - step / (4 * s**2)), rel=0.03)


def test_mirrors_fold_into_the_bound_and_keep_what_is_within() -> None:
    z = torch.tensor([-2.5, -1.2, -1.0, -0.3, 0.0, 1.0, 1.5, 3.2])
    assert torch.allclose(reflect(z, 1.0), torch.tensor([0.5, -0.8, -1.0, -0.3, 0.0, 1.0, 0.5, -0.8]), atol=1e-6)


def test_the_walk_follows_prior_and_discriminator() -> None:
    """The prior N(0, 1) and the logit -(z - 2)^2 / 2 make N(1, 1/2)."""
    sampler = Sampler(
        Line(), Options(langevin_steps=150, langevin_step_size=0.05), Judge(lambda x: -((x - 2) ** 2) / 2)
    )
    points = sampler.generate(0, 4000, 0, 1000, None, None)
    assert points.mean().item() == pytest.approx(1, abs=0.05)
    assert points.var().item() == pytest.approx(0.5 / (1 - 0.05 / 2), rel=0.06)


@pytest.mark.parametrize(("law", "truncation", "bound"), [("uniform", None, 3**0.5), ("normal", 0.7, 0.7)])
def test_the_walk_stays_where_the_prior_is(law: str, truncation: float | None, bound: float) -> None:
    network = Line()
    network.latent_distribution = law
    options = Options(truncation=truncation, langevin_steps=100, langevin_step_size=0.05)
    points = Sampler(network, options, Judge(lambda x: 0 * x)).generate(0, 4000, 0, 1000, None, None)
    assert points.abs().max() <= bound
    if law == "uniform":  # a flat energy between mirrors keeps the uniform law
        levels = points.flatten().sort().values / (2 * bound) + 0.5
        assert (levels - torch.linspace(0, 1, len(levels))).abs().max() < 0.03


def test_a_walked_sample_hangs_on_its_index_alone(network: DCGANGenerator, saved: Save, judged: Make) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(DCGANBackbone(8, 1, width=4), head=partial(ProjectionHead, num_classes=3))
    loaded = load(saved(judged(network, discriminator)))
    whole = loaded.generate(0, 70, 1, langevin_steps=4)
    assert torch.allclose(loaded.generate(50, 70, 1, batch_size=6, langevin_steps=4), whole[50:], atol=1e-4)
    assert torch.equal(loaded.generate(0, 70, 1, langevin_steps=0), loaded.generate(0, 70, 1))
    assert not torch.allclose(whole, loaded.generate(0, 70, 1), atol=1e-3)
    assert all(parameter.grad is None for parameter in nn.ModuleList([loaded.network]).parameters())


def test_a_walk_that_diverges_is_a_sentence() -> None:
    sampler = Sampler(Line(), Options(langevin_steps=60, langevin_step_size=1.0), Judge(lambda x: -(x**4)))
    with pytest.raises(UserError, match=r"diverged: set langevin_step_size below 1\.0"):
        sampler.generate(0, 50, 0, 50, None, None)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"langevin_steps": -1}, "langevin_steps=-1 is no count"),
        ({"langevin_steps": 1.5}, "langevin_steps=1.5 is no count"),
        ({"langevin_step_size": 0.1}, "langevin_step_size does nothing without langevin_steps"),
        ({"langevin_steps": 1, "langevin_step_size": 0.0}, "langevin_step_size=0.0 is out of range"),
        ({"langevin_steps": 1, "rejection": True}, "Only one of"),
        ({"rejection": True, "rejection_percentile": 101.0}, "it is 0 to 100"),
        ({"rejection_percentile": 80.0}, "rejection_percentile does nothing without rejection"),
    ],
)
def test_impossible_options_are_a_sentence(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Options(**options)
