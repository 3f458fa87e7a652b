"""What is exported computes the same, elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gan_lightning.errors import UserError
from gan_lightning.inference.export import export_generator, export_onnx
from gan_lightning.inference.load import LoadedGenerator, load
from gan_lightning.networks.dcgan import DCGANGenerator
from gan_lightning.networks.growing import Growing
from gan_lightning.networks.mlp import MLPGenerator
from gan_lightning.networks.mlp2d import MLP2dGenerator
from gan_lightning.networks.registry import LOADABLE, trust
from tests.networks.recipe import fill

Make = Callable[..., Any]
NETWORKS = {
    "conditional dcgan": lambda: DCGANGenerator(8, 1, num_classes=3, latent_dim=4, width=4),
    "colour dcgan": lambda: DCGANGenerator(16, 3, latent_dim=4, width=4),
    "mlp": lambda: MLPGenerator(8, 1, latent_dim=4, hidden=(16,)),
    "points": lambda: MLP2dGenerator(width=8),
}

STYLED = {"image_size": 8, "channels": 3, "latent_dim": 4, "style_dim": 8, "mapping_layers": 2, "channel_base": 64}
ZOO = {  # every generator that a file may name, narrow, at its smallest size
    "BigGANDeepGenerator": {"image_size": 16, "channels": 1, "latent_dim": 4, "width": 2, "depth": 1, "attention": 8},
    "BigGANGenerator": {"image_size": 16, "channels": 1, "latent_dim": 6, "width": 2, "attention": 8},
    "DCGANGenerator": {"image_size": 8, "channels": 1, "latent_dim": 4, "width": 4},
    "FastGANGenerator": {"image_size": 16, "channels": 1, "latent_dim": 4, "width": 2},
    "MLP2dGenerator": {"width": 8},
    "MLPGenerator": {"image_size": 8, "channels": 1, "latent_dim": 4, "hidden": (16,)},
    "ProGANGenerator": {"image_size": 8, "channels": 1, "latent_dim": 4, "channel_base": 64},
    "R3GANGenerator": {"image_size": 8, "channels": 1, "latent_dim": 4, "width": 8, "group_width": 4},
    "ResNetGenerator": {"image_size": 16, "channels": 1, "latent_dim": 4, "width": 2},
    "StyleGAN2Generator": STYLED,
    "StyleGANGenerator": STYLED,
}


def loaded_from(network: nn.Module, folder: Path, describe: Make) -> LoadedGenerator:
    return load(export_generator(network, folder, describe(network)))


@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_agrees_for_any_batch_size(
    name: str, tmp_path: Path, weathered: Make, describe: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    loaded = loaded_from(weathered(NETWORKS[name]()), tmp_path, describe)
    path = export_onnx(loaded, tmp_path / "generator.onnx")
    assert capfd.readouterr() == ("", "")  # the exporter is quiet
    session = onnxruntime.InferenceSession(path)
    assert [i.name for i in session.get_inputs()] == ["z", "label"][: 1 + bool(loaded.num_classes)]
    for n in (1, 3, 64):
        inputs = {"z": torch.randn(n, loaded.network.latent_dim)}
        inputs |= {"label": torch.arange(n) % 3} if loaded.num_classes else {}
        image = session.run(["image"], {key: value.numpy() for key, value in inputs.items()})[0]
        with torch.no_grad():
            expected = loaded.network(*inputs.values()).numpy()
        assert image.shape == expected.shape and np.abs(image - expected).max() < 1e-4
    notes = json.loads(session.get_modelmeta().custom_metadata_map["gan_lightning"])
    assert notes["latent_distribution"] == loaded.network.latent_distribution
    assert sorted(p.name for p in tmp_path.iterdir()) == ["generator.json", "generator.onnx", "generator.safetensors"]


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("name", LOADABLE)
def test_every_generator_of_the_zoo_is_exported_for_any_batch_size(
    name: str, classes: int, tmp_path: Path, describe: Make
) -> None:
    import onnxruntime

    (make,) = trust([name]).values()
    network = fill(make(num_classes=classes, **ZOO[name.rpartition(".")[2]])).float()
    for part in network.modules():
        if isinstance(part, Growing):
            part.grow(1, alpha=0.5)
    loaded = loaded_from(network, tmp_path, describe)
    session = onnxruntime.InferenceSession(export_onnx(loaded, tmp_path / "generator.onnx"))
    for n in (1, 5):
        inputs = {"z": torch.randn(n, network.latent_dim)} | ({"label": torch.arange(n) % 3} if classes else {})
        (image,) = session.run(None, {key: value.numpy() for key, value in inputs.items()})
        with torch.no_grad():
            expected = loaded.network(*inputs.values()).numpy()
        assert image.shape == (n, *network.image_shape) and np.abs(image - expected).max() < 1e-4
        assert n == 1 or np.abs(image[0] - image[1]).max() > 1e-3  # they are images of their own latents


def test_a_wrong_onnx_is_not_kept(
    network: DCGANGenerator, tmp_path: Path, describe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loaded_from(network, tmp_path, describe)
    export = torch.onnx.export

    def sabotage(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        program = export(module, *args, **kwargs)
        with torch.no_grad():
            next(loaded.network.parameters()).mul_(1.5)
        return program

    monkeypatch.setattr(torch.onnx, "export", sabotage)
    (tmp_path / "generator.onnx").write_text("the one before")
    with pytest.raises(UserError, match=r"differs from PyTorch by .* not kept"):
        export_onnx(loaded, tmp_path / "generator.onnx")
    assert (tmp_path / "generator.onnx").read_text() == "the one before"
    assert len(list(tmp_path.iterdir())) == 3


class Undecided(MLP2dGenerator):
    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return super().forward(z) if z.sum() > 0 else -super().forward(z)


def test_what_onnx_cannot_say_is_one_sentence(
    tmp_path: Path, describe: Make, capfd: pytest.CaptureFixture[str]
) -> None:
    network = Undecided(width=8)
    loaded = load(export_generator(network, tmp_path, describe(network)), trusted=[Undecided])
    with pytest.raises(UserError, match=r"Undecided cannot be exported to ONNX .*data-dependent") as caught:
        export_onnx(loaded, tmp_path / "generator.onnx")
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")
    assert not (tmp_path / "generator.onnx").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_packages(
    package: str, network: DCGANGenerator, tmp_path: Path, describe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"package {package}: pip install 'gan-lightning\[onnx\]'"):
        export_onnx(loaded_from(network, tmp_path, describe), tmp_path / "generator.onnx")


def test_the_description_keeps_what_a_user_needs_and_not_the_training(
    network: DCGANGenerator, tmp_path: Path, describe: Make
) -> None:
    export_generator(network, tmp_path, describe(network))
    told = json.loads((tmp_path / "generator.json").read_text())
    assert set(told) == {"format", "network", "data", "images_seen", "scores"}
    assert told["network"] == network.arguments
    assert told["scores"] == {"fid[classifier]": 3.5}


def test_a_kill_while_writing_leaves_the_old_export(
    network: DCGANGenerator, tmp_path: Path, describe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    path = export_generator(network, tmp_path, describe(network))
    images = load(path).sample(4)

    def dies(tensors: Any, name: Path) -> None:
        Path(name).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(safetensors.torch, "save_file", dies)
    with pytest.raises(KeyboardInterrupt):
        export_generator(network, tmp_path, describe(network))
    assert torch.equal(load(path).sample(4), images)
    assert len(list(tmp_path.iterdir())) == 2
