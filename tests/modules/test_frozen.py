"""What is frozen stays bit for bit, parameters and buffers, and the rest learns as if its rates alone were not zero."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from gan_lightning import UserError
from gan_lightning.data import Ring
from gan_lightning.losses import Wasserstein
from gan_lightning.modules.gan import GAN
from gan_lightning.networks.layers.spectral import spectral_norm
from gan_lightning.regularizers import R1, WeightClipping
from tests.conftest import fit


class Points(nn.Module):
    """A generator of points with batch norm; its first layers may be frozen."""

    latent_dim, num_classes, image_shape = 2, 0, (2,)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.last = nn.Linear(8, 2)

    def forward(self, z: Tensor) -> Tensor:
        return self.last(self.first(z))


class Critic(nn.Module):
    """The same the other way round: plain, with batch norm, or with PyTorch's or our spectral norm."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        normal = {"ours": spectral_norm, "pytorch": nn.utils.parametrizations.spectral_norm}.get(
            kind, lambda layer: layer
        )
        norm = nn.BatchNorm1d(8) if kind == "batch" else nn.Identity()
        self.first = nn.Sequential(normal(nn.Linear(2, 8)), norm, nn.Tanh(), normal(nn.Linear(8, 8)), nn.Tanh())
        self.last = nn.Linear(8, 1)

    def forward(self, points: Tensor) -> Tensor:
        return self.last(self.first(points)).squeeze(1)


class Half(GAN):
    """A GAN whose first layers are frozen, on both sides; it averages both networks."""

    averaged: ClassVar[tuple[str, ...]] = ("generator", "discriminator")

    def __init__(self, kind: str, freeze: bool = True, **options) -> None:
        torch.manual_seed(0)
        sgd = partial(torch.optim.SGD, lr=0.05)
        options = {"generator_optimizer": sgd, "discriminator_optimizer": sgd, "ema_kimg": 0.05} | options
        super().__init__(Points(), Critic(kind), **options)
        self.frozen = [self.generator.first, self.discriminator.first] if freeze else []


def ring() -> Ring:
    return Ring(num_points=256, batch_size=32)


def copies(game: GAN) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in game.state_dict().items()}


CLIPPING = {"loss": Wasserstein(), "regularizers": {"clip": WeightClipping(0.02)}}


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("batch", {}),
        ("batch", CLIPPING),
        ("plain", CLIPPING),
        ("ours", {"regularizers": {"r1": R1()}}),
        ("pytorch", {"regularizers": {"r1": R1(every=2)}, "clip_norm": 0.1}),
        ("batch", {"regularizers": {"r1": R1()}, "d_steps": 2}),
    ],
)
def test_frozen_parameters_and_buffers_stay_bit_for_bit(kind, options, accumulate):
    """Also in the moving averages; and what is not frozen moves, by the constraint where there is one."""
    game = Half(kind, accumulate=accumulate, **options)
    before = copies(game)
    rows = fit(game, ring(), batches=6, log_every=2).loggers[0].rows
    moved = {name for name, value in game.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if ".last." in name}
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in rows)
    if "clip" in options.get("regularizers", {}):
        assert max(p.abs().max() for p in game.discriminator.last.parameters()) <= 0.02
        assert max(p.abs().max() for p in game.discriminator.first.parameters()) > 0.02


@pytest.mark.parametrize("every", [1, 2])
def test_the_rest_plays_as_if_the_rates_of_the_frozen_were_zero(every):
    """Losses, and R1 through the frozen layers, to the last digit; and nothing is spent on the frozen."""

    def rates(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """Let first layers rest: all but the last two tensors."""
        *first, weight, bias = parameters
        return torch.optim.SGD([{"params": first, "lr": 0.0}, {"params": [weight, bias]}], lr=0.05)

    both = {"generator_optimizer": rates, "discriminator_optimizer": rates}
    regularizers = {"r1": R1(every=every)}
    frozen, still = Half("plain", regularizers=regularizers), Half("plain", False, regularizers=regularizers, **both)
    for game in (frozen, still):  # batch norm in evaluation mode for both: its statistics would differ
        game.generator.first[1] = nn.Identity()
        game.generator_ema.first[1] = nn.Identity()
    rows = [fit(game, ring(), batches=6, log_every=2).loggers[0].rows for game in (frozen, still)]
    for one, other in zip(*rows, strict=True):
        same = [name for name in one if not name.startswith(("gradient_norm", "lr"))]
        assert "D(x)" in same and [one[name] for name in same] == [other[name] for name in same]
    assert any(row.get("loss/r1", 0) > 0 for row in rows[0])
    for name, value in frozen.state_dict().items():
        assert torch.equal(value, still.state_dict()[name]), name
    assert all(p.grad is None for p in [*frozen.generator.first.parameters(), *frozen.discriminator.first.parameters()])


class WithFeatures(Half):
    """Beside the players a network that nobody moves, through which the generator's loss looks at its points."""

    def __init__(self, features: nn.Module, freeze: bool) -> None:
        super().__init__("plain", False)
        self.features = features
        self.frozen = [features] if freeze else []

    def networks(self) -> dict[str, nn.Module]:
        return super().networks() | {"features": self.features}

    def generator_loss(self, step):
        features = step.run(self.features, step.fake)
        return super().generator_loss(step) | {"features": features.square().mean()}


@pytest.mark.parametrize(
    "features", [nn.BatchNorm1d(2, affine=False), nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4))]
)
def test_a_network_that_no_player_moves(features):
    """One without any parameter, and one with some; in evaluation mode where it is named as frozen."""
    game = WithFeatures(features, freeze=True)
    before = copies(game)
    rows = fit(game, ring(), batches=3, log_every=1).loggers[0].rows
    assert all(torch.equal(value, before[name]) for name, value in game.state_dict().items() if "features" in name)
    assert rows[0]["loss/features"] > 0 and not features.training


def test_parameters_that_nobody_moves_get_no_gradients():
    game = WithFeatures(nn.Linear(2, 4), freeze=False)
    fit(game, ring(), batches=3)
    assert all(p.grad is None and not p.requires_grad for p in game.features.parameters())
    assert all(p.grad is not None for p in game.generator.parameters())


def test_a_player_of_whom_nothing_is_left_is_refused():
    game = Half("plain")
    game.frozen = [game.generator]
    with pytest.raises(UserError, match="Player generator has nothing to move, all of its parameters are frozen"):
        fit(game, ring())


def test_training_mode_comes_back_to_what_is_not_frozen_alone():
    game = Half("batch")
    fit(game, ring(), batches=1)
    game.eval()
    game.train()
    assert game.discriminator.last.training and game.generator.training
    assert not any(layer.training for part in game.frozen for layer in part.modules())
