"""Of every model, in each turn: exactly the parameters of the player who moves get gradients."""

from __future__ import annotations

import math

import pytest
import torch

from gan_lightning.cli import build as cli_build
from gan_lightning.modules import ProgressiveGAN
from gan_lightning.modules.gan import GAN
from gan_lightning.training.engine import Engine
from gan_lightning.training.player import Player
from gan_lightning.training.step import Step
from tests.cli.test_compose import basis, options, tiny

MODELS = [name for name in options("model") if name != "mlp2d"]
GAMES = [(name, conditioning) for name in MODELS for conditioning in ("none", "projection", "infogan")]
SHARED = ".head.q."  # InfoGAN's Q moves in both turns


def made(model: str, *words: str) -> GAN:
    """Return the model's game with small networks, grown to the full size where they grow."""
    config = tiny(*basis(model), *words, "seed=1")
    config.run_dir = "unused"  # nothing is written
    module: GAN = cli_build.module(config)
    if isinstance(module, ProgressiveGAN):
        for network in module._growing():
            network.grow(network.num_stages - 1)
    module.configure_optimizers()
    return module


def play(module: GAN, batch: dict[str, torch.Tensor]) -> dict[str, set[str]]:
    """Play one iteration in which all turns are due; return what got a gradient in each, by the turn's name."""
    phases, reached = module.phases(), []

    def note(player: Player) -> None:
        gradients = {name: p.grad for name, p in module.named_parameters() if p.grad is not None}
        assert any(gradient.any() for gradient in gradients.values())
        reached.append(set(gradients))
        module.zero_grad(set_to_none=True)

    iteration = math.lcm(*(phase.every for phase in phases)) - 1
    Engine(phases, optimizer_step=note).run(Step(batch, seed=1, iteration=iteration))
    return dict(zip([phase.name for phase in phases], reached, strict=True))


def check(module: GAN, reached: dict[str, set[str]]) -> None:
    """Compare what got gradients with whose they are: all of the mover's in its main turn, nobody else's in any."""
    names = [name for name, _ in module.named_parameters()]
    own = {player: {name for name in names if name.startswith(f"{player}.")} for player in module.players}
    own["generator"] |= {name for name in names if SHARED in name}
    for phase in module.phases():
        assert reached[phase.name] <= own[phase.players[0].name], phase.name
    for player, mine in own.items():
        assert {name for name in mine - reached[player] if not unused(module, name)} == set()


def unused(module: GAN, name: str) -> bool:
    """Return whether the parameter is of an RGB layer of an earlier stage of a network that grows."""
    return isinstance(module, ProgressiveGAN) and "_rgb." in name and "_rgb.2." not in name  # 4, 8 and 16 pixels


@pytest.mark.parametrize(("model", "conditioning"), GAMES)
def test_in_each_turn_exactly_the_movers_parameters_get_gradients(model: str, conditioning: str) -> None:
    module = made(model, f"conditioning={conditioning}")
    batch = {"image": torch.rand(8, 1, 16, 16) * 2 - 1, "label": torch.arange(8)}
    reached = play(module, batch)
    assert reached.keys() >= {"generator", "discriminator"}
    if model == "stylegan2":
        assert reached.keys() >= {"r1", "path_length"}
    check(module, reached)


def test_networks_of_points_as_well() -> None:
    module = made("mlp2d")
    check(module, play(module, {"image": torch.randn(8, 2)}))
