"""float16 in Lightning: all players of a phase step, then the scaler is updated once, and gradients are float32's."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from gan_lightning.modules.gan import GAN
from gan_lightning.networks import Discriminator, MLP2dBackbone, MLP2dGenerator
from gan_lightning.regularizers import R1
from tests.conftest import fit
from tests.modules.test_toy_games import Autoencoder, ring

SCALE = 2.0**10


class ScaledOnly(MixedPrecision):
    """float16's scaler around forwards in float32, so that numbers can be compared to the last digits."""

    def autocast_context_manager(self) -> torch.autocast:
        return torch.autocast("cpu", enabled=False)


def scaled(kind: type[MixedPrecision]) -> MixedPrecision:
    return kind("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=SCALE))


class AtOnce(Autoencoder):
    """Three players in one phase, each with plain gradient steps, fused or not."""

    def __init__(self, fused: bool, **options) -> None:
        super().__init__(**options)
        factory = partial(torch.optim.SGD, lr=0.1, fused=fused)
        self.optimizer_factories = dict.fromkeys(self.networks(), factory)


class AsLightningHasIt(AtOnce):
    """Steps by Lightning's optimisers, which update the scaler each."""

    def _engine(self):
        engine = super()._engine()
        engine.optimizer_step = lambda player: optimizers[player.name].step()
        engine.after_steps = None
        optimizers = dict(zip(self.players, self.optimizers(), strict=True))
        return engine


def after(game: AtOnce, plugin: MixedPrecision | None, **options) -> dict[str, Tensor]:
    fit(game, ring(), batches=4, plugins=[plugin] if plugin else None, **options)
    return game.state_dict()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.2}, {"accumulate": 2}])
def test_players_at_once_move_as_in_float32(fused, options):
    plugin = scaled(ScaledOnly)
    expected, got = after(AtOnce(fused, **options), None), after(AtOnce(fused, **options), plugin, log_every=2)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-6, atol=1e-7)
    assert plugin.scaler._growth_tracker.item() == 4 and plugin.scaler.get_scale() == SCALE


def test_lightnings_own_update_after_each_optimiser_would_leave_the_later_players_behind():
    start = AtOnce(True).state_dict()
    expected = after(AtOnce(True, clip_norm=1e6), None)
    wrong = after(AsLightningHasIt(True, clip_norm=1e6), scaled(ScaledOnly))
    path = {name: (wrong[name] - start[name]).norm() / (expected[name] - start[name]).norm() for name in start}
    assert all(path[name] > 0.5 for name in path if name.startswith("encoder"))
    assert all(path[name] < 0.01 for name in path if not name.startswith("encoder"))


def test_in_real_float16_as_nearly_as_that_can_be():
    expected, got = after(AtOnce(True), None), after(AtOnce(True), scaled(MixedPrecision))
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-2, atol=1e-3)
    assert any(not torch.equal(got[name], value) for name, value in expected.items())


@pytest.mark.parametrize("every", [1, 2])
def test_a_gan_in_turns_with_its_penalty(every):
    """Also a penalty with a turn of its own after the main one, and norms that are measured, so unscaled early."""

    def trained(plugin: MixedPrecision | None) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        torch.manual_seed(0)
        networks = MLP2dGenerator(width=8), Discriminator(MLP2dBackbone(width=8))
        step = partial(torch.optim.SGD, lr=0.05)
        both = {"generator_optimizer": step, "discriminator_optimizer": step}
        game = GAN(*networks, regularizers={"r1": R1(every=every)}, **both, log_every=2)
        return game.state_dict(), fit(game, ring(), 4, plugins=[plugin] if plugin else None).loggers[0].rows

    plugin = scaled(ScaledOnly)
    (expected, curves), (got, others) = trained(None), trained(plugin)
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6)
    for one, other in zip(curves, others, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert plugin.scaler._growth_tracker.item() == (8 if every == 1 else 10)
