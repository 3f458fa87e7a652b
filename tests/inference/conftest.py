"""Small trained-looking generators and the files that hold them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from gan_lightning.inference.former import FORMAT
from gan_lightning.modules.state import describe as describe_network
from gan_lightning.networks.dcgan import DCGANGenerator


def _weathered(network: nn.Module, seed: int = 0) -> nn.Module:
    stream = torch.Generator().manual_seed(seed)
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=stream) + 0.1)
    for parameter in network.parameters():
        parameter.data.sub_(0.6)
    return network.eval()


def _describe(network: nn.Module, **changes: Any) -> dict[str, Any]:
    entry = {
        "format": FORMAT,
        "images_seen": 1280,
        "iteration": 20,
        "config": {"seed": 1},
        "scores": {"fid[classifier]": 3.5},
        "best": {},
        "networks": {"generator": getattr(network, "arguments", None), "discriminator": None},
        "data": {"name": "toy", "class_names": None},
        "protocol": None,
    }
    return {**entry, **changes}


@pytest.fixture
def weathered() -> Callable[..., nn.Module]:
    """Give every tensor of a network values that its constructor would not, running statistics included."""
    return _weathered


@pytest.fixture
def describe() -> Callable[..., dict[str, Any]]:
    """Return the "gan_lightning" entry of a checkpoint of a network, with changes."""
    return _describe


@pytest.fixture
def checkpoint() -> Callable[..., dict[str, Any]]:
    """Return a checkpoint of a network in Lightning's layout, with other things around it."""

    def build(network: nn.Module, ema: nn.Module | None = None, **changes: Any) -> dict[str, Any]:
        state = {f"generator.{key}": value for key, value in network.state_dict().items()}
        if ema is not None:
            state |= {f"generator_ema.{key}": value for key, value in ema.state_dict().items()}
        state["discriminator.weight"] = torch.zeros(3)
        entry = _describe(network, **changes)
        return {"state_dict": state, "gan_lightning": entry, "optimizer_states": [{"param_groups": []}]}

    return build


@pytest.fixture
def judged(checkpoint: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return a checkpoint of a generator with its discriminator."""

    def build(network: nn.Module, discriminator: nn.Module) -> dict[str, Any]:
        networks = {"generator": describe_network(network), "discriminator": describe_network(discriminator)}
        content = checkpoint(network, networks=networks)
        state = {name: value for name, value in content["state_dict"].items() if not name.startswith("discriminator.")}
        state |= {f"discriminator.{name}": value for name, value in discriminator.state_dict().items()}
        return {**content, "state_dict": state}

    return build


@pytest.fixture
def network() -> DCGANGenerator:
    """Return a conditional 8x8 grey generator with three classes."""
    return _weathered(DCGANGenerator(8, 1, num_classes=3, latent_dim=4, width=4))


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Return save(object, name) -> path of a torch file."""

    def save(content: Any, name: str = "last.ckpt") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, path)
        return path

    return save
