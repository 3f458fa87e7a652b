"""Of a file with several networks, one is loaded, sampled and scored by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gan_lightning.cli.evaluate import evaluate
from gan_lightning.cli.generate import generate
from gan_lightning.cli.train import _finish
from gan_lightning.errors import UserError
from gan_lightning.inference.export import export_generator
from gan_lightning.inference.load import load
from gan_lightning.inference.producers import Producer, Samples
from gan_lightning.inference.read import read_state
from gan_lightning.modules.record import Record
from gan_lightning.networks.mlp2d import MLP2dGenerator


@pytest.fixture
def networks(weathered: Callable[..., nn.Module]) -> dict[str, nn.Module]:
    """Return a generator, and a decoder with its average."""
    widths = {"generator": 8, "decoder": 6, "decoder_ema": 6}
    return {name: weathered(MLP2dGenerator(width=width), seed) for seed, (name, width) in enumerate(widths.items())}


@pytest.fixture
def content(networks: dict[str, nn.Module], checkpoint: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return a checkpoint of these, the generator first."""
    told = {name: getattr(networks[name], "arguments", None) for name in ("generator", "decoder")}
    made = checkpoint(networks["generator"], networks=told, config={"data": {"name": "ring"}})
    for name in ("decoder", "decoder_ema"):
        made["state_dict"] |= {f"{name}.{key}": value for key, value in networks[name].state_dict().items()}
    return made


@pytest.fixture
def path(content: dict[str, Any], saved: Callable[..., Path]) -> Path:
    return saved(content)


def weights(network: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in network.parameters()])


def test_a_name_chooses_the_network_and_its_average(networks: dict[str, nn.Module], path: Path) -> None:
    assert torch.equal(weights(load(path).network), weights(networks["generator"]))
    assert torch.equal(weights(load(path, network="decoder").network), weights(networks["decoder_ema"]))
    assert torch.equal(weights(load(path, network="decoder", raw=True).network), weights(networks["decoder"]))
    assert load(path, network=None).sample(2).equal(load(path, network="generator").sample(2))


def test_an_instance_is_filled_under_its_name(networks: dict[str, nn.Module], path: Path) -> None:
    mine = MLP2dGenerator(width=6)
    assert load(path, network={"decoder": mine}).network is mine
    assert torch.equal(weights(mine), weights(networks["decoder_ema"]))
    with pytest.raises(UserError, match="do not fit"):
        load(path, network=mine)  # without a name it is the generator
    with pytest.raises(UserError, match=r"takes one network, and .* has 2"):
        load(path, network={"decoder": mine, "generator": mine})


def test_a_name_that_is_not_there_is_said_with_those_that_are(path: Path) -> None:
    with pytest.raises(UserError, match=r"has no decode: .*choose one of 'decoder', 'generator' by network=NAME"):
        load(path, network="decode")


def test_a_network_that_makes_nothing_is_refused(content: dict[str, Any], saved: Callable[..., Path]) -> None:
    content["state_dict"] |= {f"encoder.{key}": value for key, value in nn.Linear(2, 2).state_dict().items()}
    with pytest.raises(UserError, match="Linear cannot be sampled: it has no attribute latent_dim"):
        load(saved(content), network={"encoder": nn.Linear(2, 2)})


def test_an_export_holds_one_network(networks: dict[str, nn.Module], content: dict[str, Any], tmp_path: Path) -> None:
    exported = export_generator(networks["generator"], tmp_path / "exported", content["gan_lightning"])
    with pytest.raises(UserError, match="holds one network only: leave network=decoder out"):
        load(exported, network="decoder")


class Decoding(Record):
    """A game whose only network is called decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder, self.decoder_ema = MLP2dGenerator(width=6), MLP2dGenerator(width=6)

    def networks(self) -> dict[str, nn.Module]:
        return {"decoder": self.decoder}

    def producers(self, seed: int = 0, raw: bool = False) -> dict[str, Producer]:
        return {"samples": Samples(self.decoder_ema, seed)}


def test_a_run_exports_and_names_the_network_that_its_game_shows(tmp_path: Path, capsys: Any) -> None:
    game = Decoding()
    _finish(game, tmp_path)
    exported = load(tmp_path / "generator.safetensors")
    assert torch.equal(weights(exported.network), weights(game.decoder_ema))
    assert f"ckpt={tmp_path} network=decoder n=64" in capsys.readouterr().out


def test_a_file_need_hold_no_generator(content: dict[str, Any], saved: Callable[..., Path]) -> None:
    state = {name: value for name, value in content["state_dict"].items() if not name.startswith("generator")}
    del content["gan_lightning"]["networks"]["generator"]
    path = saved({**content, "state_dict": state})
    assert read_state(path)["state_dict"].keys() == state.keys()
    with pytest.raises(UserError, match=r"has no generator: .*choose one of 'decoder'"):
        load(path)
    assert load(path, network="decoder").sample(3).shape == (3, 2)


def test_codes_are_the_generators_alone(content: dict[str, Any], saved: Callable[..., Path]) -> None:
    content["gan_lightning"]["codes"] = {"categories": [], "continuous": 1}
    path = saved(content)
    assert load(path).network.codes is not None and load(path, network="decoder").network.codes is None
    assert load(path, network="decoder").description["codes"] is None


def test_the_commands_take_the_name(path: Path, tmp_path: Path, run_folder: Path) -> None:
    words = [f"ckpt={path}", "device=cpu", "network=decoder"]
    out = generate([*words, "n=5", f"out={tmp_path / 'points.npy'}"])
    np.testing.assert_allclose(np.load(out), load(path, network="decoder").sample(5).numpy(), rtol=1e-6)
    words += ["data=ring", "metrics=[modes]", "num_fakes=50"]
    scores, plain = (evaluate(given)["scores"] for given in (words, [w for w in words if w != "network=decoder"]))
    assert scores.keys() == plain.keys() >= {"modes", "high_quality"} and scores != plain
    with pytest.raises(UserError, match=r"network=.* is for a trained generator"):
        evaluate([f"real={tmp_path}", f"fake={tmp_path}", "network=decoder"])
