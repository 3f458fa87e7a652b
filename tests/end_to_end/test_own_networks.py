"""A user's own networks in a user's own package, named in a YAML of theirs: by the real command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from commands import ROOT, run, run_here

import gan_lightning
from gan_lightning.cli import train
from gan_lightning.errors import UserError

NETWORKS = '''
import torch
from torch import nn

from gan_lightning.networks.base import Generator


class Painter(Generator):
    def __init__(self, image_size: int, channels: int, width: int = 16) -> None:
        super().__init__()
        self.latent_dim, self.image_shape = 5, (channels, image_size, image_size)
        self.layers = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, channels * image_size**2))

    def forward(self, z, labels=None):
        return torch.tanh(self.layers(z)).unflatten(1, self.image_shape)


class PlainPainter(nn.Module):
    """As users write them: no base class of gan_lightning."""

    num_classes = 0

    def __init__(self, image_size: int, channels: int, width: int = 16) -> None:
        super().__init__()
        self.latent_dim, self.image_shape = 5, (channels, image_size, image_size)
        self.layers = nn.Linear(5, channels * image_size**2)

    def forward(self, z):
        return torch.tanh(self.layers(z)).unflatten(1, self.image_shape)


class Critic(nn.Module):
    def __init__(self, image_size: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, 1))

    def forward(self, images):
        return self.layers(images)
'''
MODEL = """# @package _global_
defaults:
  - override /loss: hinge

model:
  _target_: gan_lightning.GAN
  generator:
    _target_: atelier.networks.CLASS
    image_size: ${data.image_size}
    channels: ${data.channels}
    width: 8
  discriminator:
    _target_: atelier.networks.Critic
    image_size: ${data.image_size}
    channels: ${data.channels}
  d_steps: 2
"""


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the package `atelier` and model files that name its classes."""
    (tmp_path / "atelier").mkdir()
    (tmp_path / "atelier/__init__.py").touch()
    (tmp_path / "atelier/networks.py").write_text(NETWORKS)
    (tmp_path / "conf/model").mkdir(parents=True)
    for name in ("Painter", "PlainPainter"):
        (tmp_path / f"conf/model/{name.lower()}.yaml").write_text(MODEL.replace("CLASS", name))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("atelier")]:
        del sys.modules[name]


def command(script: str, folder: Path, *words: str) -> str:
    ended = run([str(ROOT / script), *words], folder, PYTHONPATH=str(folder), GAN_LIGHTNING_CACHE=str(folder / "cache"))
    return ended.stdout


@pytest.fixture
def train_here(studio: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return what trains in this process; `command` is a process of its own, and one of the two networks is enough."""

    def start(script: str, folder: Path, *words: str) -> str:
        run_here(train.main, [script, *words], folder, monkeypatch)
        return capsys.readouterr().out

    return start


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Painter", "PlainPainter"])
def test_train_resume_generate_and_load(name: str, studio: Path, train_here: Callable[..., str]) -> None:
    start = command if name == "Painter" else train_here
    words = ["--config-dir", "conf", f"model={name.lower()}", "data=digits", "data.image_size=8", "metrics=[]"]
    words += ["trainer=cpu", "logger=[csv]", "callbacks=[checkpoint,limit]", "max_kimg=0.32", "run_dir=run"]
    said = start("train.py", studio, *words)
    assert "generate.py ckpt=run" in said
    first = torch.load(studio / "run/checkpoints/last.ckpt", weights_only=True)
    assert first["gan_lightning"]["images_seen"] == 320

    start("train.py", studio, "--config-dir", "conf", "resume=run", "max_kimg=0.64")
    last = torch.load(studio / "run/checkpoints/last.ckpt", weights_only=True)
    assert last["gan_lightning"]["images_seen"] == 640 and last["gan_lightning"]["config"]["model"]["d_steps"] == 2
    told = {"_target_": f"atelier.networks.{name}", "image_size": 8, "channels": 1, "width": 8}
    assert last["gan_lightning"]["networks"]["generator"] == told

    with pytest.raises(UserError, match=rf"asks for the class atelier\.networks\.{name}.*trusted="):
        gan_lightning.load(studio / "run")
    import atelier.networks

    loaded = gan_lightning.load(studio / "run", trusted=[getattr(atelier.networks, name)])
    assert loaded.sample(3, seed=1).shape == (3, 1, 8, 8)
    exported = gan_lightning.load(studio / "run/generator.safetensors", trusted=[f"atelier.networks.{name}"])
    assert torch.equal(exported.sample(3, seed=1), loaded.sample(3, seed=1))
    if name == "Painter":
        words = ["ckpt=run", f"trusted=[atelier.networks.{name}]", "n=4", "out=samples.png"]
        command("generate.py", studio, *words)
        assert (studio / "samples.png").stat().st_size > 0
