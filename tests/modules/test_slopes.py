"""A critic whose slope nothing bounds is warned of in one line, also from a plain Trainer, and trains."""

from __future__ import annotations

import warnings

import pytest
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_lightning.data import Ring
from gan_lightning.losses import AdversarialLoss, Hinge, Wasserstein
from gan_lightning.modules.gan import GAN
from gan_lightning.networks import Discriminator, MLP2dBackbone, MLP2dGenerator
from gan_lightning.regularizers import DRAGAN, R1, R2, Drift, GradientPenalty, WeightClipping
from tests.conftest import fit

SAID = "Wasserstein has no least value unless something bounds the critic's slope"


def warned(regularizers: dict[str, object], loss: AdversarialLoss | None = None, critic: object = None) -> list[str]:
    """Return what a training of two iterations warns of about slopes."""
    critic = critic or Discriminator(MLP2dBackbone(width=4))
    module = GAN(MLP2dGenerator(width=4), critic, loss=loss or Wasserstein(), regularizers=regularizers)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        module.check()  # as the command line does before the fit
        fit(module, Ring(num_points=128, batch_size=64))
    assert module.iteration == 2
    return [str(one.message) for one in caught if SAID in str(one.message)]


@pytest.mark.parametrize("regularizers", [{}, {"drift": Drift()}])
def test_nothing_that_bounds_it_is_one_line(regularizers: dict[str, object]) -> None:
    (line,) = warned(regularizers)
    assert "regularizer=[gradient_penalty] or [weight_clipping], or spectral norm" in line and "\n" not in line


@pytest.mark.parametrize("part", [GradientPenalty(), DRAGAN(), R1(), R2(every=2), WeightClipping()])
def test_a_part_that_bounds_it_is_enough(part: object) -> None:
    assert warned({"part": part}) == []


def test_spectral_norm_is_enough() -> None:
    assert warned({}, critic=Discriminator(MLP2dBackbone(width=4, spectral_norm=True))) == []
    theirs = Discriminator(MLP2dBackbone(width=4))
    for layer in [layer for layer in theirs.modules() if isinstance(layer, nn.Linear)]:
        spectral_norm(layer)
    assert warned({}, critic=theirs) == []


def test_other_losses_need_none() -> None:
    assert warned({}, loss=Hinge()) == []
