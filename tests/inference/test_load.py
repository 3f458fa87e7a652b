"""A generator comes back as it was saved, from any of its files, and samples by index."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gan_lightning.networks
from gan_lightning.errors import UserError
from gan_lightning.inference.export import export_generator
from gan_lightning.inference.load import load
from gan_lightning.networks.base import Backbone, Generator
from gan_lightning.networks.dcgan import DCGANGenerator
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.heads import EmbeddingHead, Head, WeightedHead
from gan_lightning.networks.layers.minibatch_discrimination import WithMinibatchDiscrimination
from gan_lightning.networks.mlp2d import MLP2dGenerator
from gan_lightning.networks.registry import DISCRIMINATOR_PARTS, LOADABLE
from gan_lightning.networks.styles import StyleGenerator

Make = Callable[..., Any]
Save = Callable[..., Path]


class Plain(nn.Module):
    """A user's generator: not derived from ours, a tensor outside the state dict, numbers computed from tensors."""

    latent_dim, num_classes, image_shape = 4, 0, (1, 2, 2)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 1, 3)]  # impossible on the meta device
        self.scale = torch.tensor(0.5)
        self.linear = nn.Linear(4, width)

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return torch.tanh(self.linear(z) * self.scale).unflatten(1, (1, 2, 2))


def recorded(network: nn.Module, **arguments: object) -> nn.Module:
    cls = type(network)
    network.arguments = {"_target_": f"{cls.__module__}.{cls.__qualname__}", **arguments}
    return network


def test_checkpoint_folder_and_export_give_the_same_images_bit_for_bit(
    network: DCGANGenerator, saved: Save, tmp_path: Path, checkpoint: Make, describe: Make
) -> None:
    path = saved(checkpoint(network), "run/checkpoints/last.ckpt")
    exported = export_generator(network, tmp_path / "exported", describe(network))
    images = load(path).sample(20, seed=3)
    assert torch.equal(images, load(tmp_path / "run").sample(20, seed=3))
    assert torch.equal(images, load(exported).sample(20, seed=3))
    assert torch.equal(images, load(tmp_path / "exported").sample(20, seed=3))
    assert images.shape == (20, 1, 8, 8) and images.dtype == torch.float32
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0.01


def test_generate_is_the_networks_own_output(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    loaded = load(saved(checkpoint(network)))
    from gan_lightning.inference.sampling import latents

    z = latents(network, 0, 6, seed=2)
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        expected = network(z, labels)
    assert torch.equal(loaded.generate(0, 6, 2, labels), expected)
    assert torch.equal(loaded.sample(6, 2, labels), (expected + 1) / 2)


def test_what_the_file_tells(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    loaded = load(saved(checkpoint(network, data={"name": "toy", "class_names": ["a", "b", "c"]})))
    assert (loaded.images_seen, loaded.config, loaded.num_classes) == (1280, {"seed": 1}, 3)
    assert loaded.scores == {"fid[classifier]": 3.5} and loaded.class_names == ["a", "b", "c"]
    for word in ("DCGANGenerator", "1x8x8", "3 classes", "1280 images seen", "3.5", "last.ckpt"):
        assert word in repr(loaded)


def test_scores_older_than_the_weights_say_so(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    fresh, old = (load(saved(checkpoint(network, scored_at=images), f"{images}.ckpt")) for images in (1280, 640))
    assert "3.5," in repr(fresh) and "3.5 after 640" in repr(old)


def test_moving_average_is_preferred_and_raw_is_the_other(
    network: DCGANGenerator, saved: Save, checkpoint: Make, weathered: Make
) -> None:
    average = weathered(DCGANGenerator(8, 1, num_classes=3, latent_dim=4, width=4), seed=1)
    path = saved(checkpoint(network, ema=average))
    assert torch.equal(load(path).network.layers[0].weight, average.layers[0].weight)
    assert torch.equal(load(path, raw=True).network.layers[0].weight, network.layers[0].weight)


def test_a_folder_prefers_best_to_last_to_exported(
    network: DCGANGenerator, saved: Save, tmp_path: Path, checkpoint: Make, describe: Make
) -> None:
    export_generator(network, tmp_path / "run", describe(network))
    assert load(tmp_path / "run").path.name == "generator.safetensors"
    saved(checkpoint(network), "run/checkpoints/last.ckpt")
    assert load(tmp_path / "run").path.name == "last.ckpt"
    saved(checkpoint(network), "run/checkpoints/best.ckpt")
    assert load(tmp_path / "run").path.name == "best.ckpt"


def test_samples_are_indexed(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    loaded = load(saved(checkpoint(network)))
    many = loaded.sample(150, seed=5)
    assert torch.equal(loaded.sample(75, seed=5, batch_size=75), loaded.sample(150, seed=5, batch_size=150)[:75])
    torch.testing.assert_close(loaded.sample(150, seed=5, batch_size=7), many, rtol=0, atol=1e-6)
    torch.testing.assert_close((loaded.generate(70, 130, 5) + 1) / 2, many[70:130], rtol=0, atol=1e-6)
    assert not torch.allclose(loaded.sample(150, seed=6), many, atol=1e-2)


def test_labels_by_number_name_list_and_tensor(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    loaded = load(saved(checkpoint(network, data={"class_names": ["ant", "bee", "cat"]})))
    bees = loaded.sample(4, labels=1)
    assert torch.equal(bees, loaded.sample(4, labels="bee"))
    assert torch.equal(bees, loaded.sample(4, labels=[1, "bee", 1, 1]))
    assert torch.equal(bees, loaded.sample(4, labels=torch.tensor([1, 1, 1, 1])))
    assert torch.equal(bees, loaded.sample(4, labels=np.int64(1)))
    assert not torch.equal(bees, loaded.sample(4, labels=2))
    for label in (1.5, True, [0, 1, 2, 0.5], np.float32(1)):
        with pytest.raises(UserError, match="is no class: give a whole number from 0 to 2"):
            loaded.sample(4, labels=label)


def test_points_are_not_clamped(saved: Save, checkpoint: Make, weathered: Make) -> None:
    network = weathered(MLP2dGenerator(width=8))
    with torch.no_grad():
        network.layers[-1].bias.copy_(torch.tensor([30.0, -30.0]))
    points = load(saved(checkpoint(network))).sample(10)
    assert points.shape == (10, 2) and points[:, 0].min() > 1 and points[:, 1].max() < 0


def test_loading_leaves_the_users_random_state_alone(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    path = saved(checkpoint(network))
    before = torch.get_rng_state()
    load(path).sample(2)
    assert torch.equal(before, torch.get_rng_state())


def test_a_users_class_loads_when_trusted(saved: Save, checkpoint: Make, weathered: Make) -> None:
    network = recorded(weathered(Plain(4)), width=4)
    path = saved(checkpoint(network))
    loaded = load(path, trusted=[Plain])
    assert loaded.network.scale.device.type == "cpu"
    assert torch.equal(loaded.sample(8), load(path, trusted=Plain).sample(8))
    assert torch.equal(loaded.network.linear.weight, network.linear.weight)


class Composed(Plain):
    """A user's generator made of parts: an object, and a class that it calls itself."""

    def __init__(self, part: nn.Module, activation: Callable[[], nn.Module]) -> None:
        super().__init__(4)
        self.linear = nn.Sequential(part, activation())


def test_classes_among_the_arguments_are_trusted_one_by_one(saved: Save, checkpoint: Make) -> None:
    part = {"_target_": "torch.nn.modules.linear.Linear", "in_features": 4, "out_features": 4}
    activation = {"_target_": "torch.nn.modules.activation.ELU", "_partial_": True, "alpha": 0.5}
    network = recorded(Composed(nn.Linear(4, 4), lambda: nn.ELU(0.5)), part=part, activation=activation)
    path = saved(checkpoint(network))
    loaded = load(path, trusted=[Composed, nn.Linear, nn.ELU])
    assert torch.equal(loaded.network.linear[0].weight, network.linear[0].weight)
    assert loaded.network.linear[1].alpha == 0.5
    with pytest.raises(UserError, match=r"class torch.nn.modules.activation.ELU"):
        load(path, trusted=[Composed, nn.Linear])


def test_a_users_instance_is_filled(saved: Save, checkpoint: Make, weathered: Make) -> None:
    path = saved(checkpoint(weathered(Plain(4))))
    instance = Plain(4)
    assert load(path, network=instance).network is instance
    assert torch.equal(instance.linear.weight, weathered(Plain(4)).linear.weight)


def test_a_users_package_named_in_words(
    saved: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Make
) -> None:
    (tmp_path / "house_of_gans").mkdir()
    (tmp_path / "house_of_gans/__init__.py").write_text(
        "from gan_lightning.networks.mlp2d import MLP2dGenerator\nclass Mine(MLP2dGenerator): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = importlib.import_module("house_of_gans").Mine(width=8)
    path = saved(checkpoint(network))
    loaded = load(path, trusted=["house_of_gans.Mine"])
    assert torch.equal(loaded.generate(0, 9), load(path, trusted=[type(network)]).generate(0, 9))


BASES = (Generator, StyleGenerator, Backbone, Head, WeightedHead, EmbeddingHead, WithMinibatchDiscrimination)


@pytest.mark.parametrize(
    ("listed", "kinds"), [(LOADABLE, Generator), (DISCRIMINATOR_PARTS, (Discriminator, Backbone, Head))]
)
def test_the_allow_lists_are_every_network_of_ours_and_nothing_else(listed: tuple[str, ...], kinds: Any) -> None:
    names = set()
    for module in pkgutil.walk_packages(gan_lightning.networks.__path__, "gan_lightning.networks."):
        for _, cls in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(cls, kinds) and cls not in BASES:
                names.add(f"{cls.__module__}.{cls.__qualname__}")
    assert names == set(listed) and len(listed) == len(names)


def test_loading_needs_torch_only(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    code = (
        "import sys, gan_lightning; print(gan_lightning.load(sys.argv[1]).sample(2).shape);"
        "print([m for m in ('lightning', 'hydra', 'omegaconf', 'wandb', 'onnx', 'matplotlib', 'torchvision',"
        " 'torchmetrics', 'tensorboard', 'sklearn') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(saved(checkpoint(network)))]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.split("\n")[:2] == ["torch.Size([2, 1, 8, 8])", "[]"]
