"""Bad and hostile files end in one sentence, and none of them runs, imports or swells."""

from __future__ import annotations

import json
import os
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.inference.export import export_generator
from gan_lightning.inference.load import load
from gan_lightning.networks.dcgan import DCGANGenerator
from gan_lightning.networks.mlp2d import MLP2dGenerator

Make = Callable[..., Any]
Save = Callable[..., Path]


def refused(path: Path, words: str, **options: Any) -> None:
    with pytest.raises(UserError, match=words) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def rewrite(path: Path, **changes: Any) -> None:
    """Change entries of the JSON beside an exported generator."""
    told = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**told, **changes}))


@pytest.fixture
def exported(network: DCGANGenerator, tmp_path: Path, describe: Make) -> Path:
    return export_generator(network, tmp_path / "exported", describe(network))


def test_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "no.ckpt", "There is no checkpoint at .*no.ckpt")
    refused(tmp_path, "holds no generator: looked for checkpoints/best.ckpt")


@pytest.mark.parametrize(
    "content", [b"", b"hello, I am text", b"\x80\x02garbage", b"PK\x03\x04 not a zip", b"\x00" * 999]
)
def test_corrupt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.ckpt").write_bytes(content)
    refused(tmp_path / "x.ckpt", "corrupt, cut off, or of another kind")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated(network: DCGANGenerator, saved: Save, checkpoint: Make, exported: Path, kept: float) -> None:
    for path in (saved(checkpoint(network)), exported):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * kept)])
        refused(path, "corrupt or cut off|corrupt, cut off")


@pytest.mark.parametrize("content", [{"model": torch.zeros(1)}, [1, 2], torch.zeros(3), {"gan_lightning": 1}, 5])
def test_foreign(saved: Save, content: Any) -> None:
    refused(saved(content), "no checkpoint of gan_lightning: it has no 'gan_lightning' entry")


def test_foreign_entry(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    whole = checkpoint(network)
    refused(saved({**whole, "state_dict": None}), "has no 'state_dict' entry")
    refused(saved({**whole, "state_dict": {"discriminator.w": torch.zeros(1)}}), "no generator")
    refused(saved({**whole, "state_dict": {"generator.w": "text"}}), "no generator")
    refused(saved({**whole, "gan_lightning": {}}), "no 'format' number")
    refused(saved({**whole, "gan_lightning": {"format": 99}}), "install a newer one")
    for networks in (None, [], {"generator": None}, {"generator": {"_target_": 5}}):
        refused(saved(checkpoint(network, networks=networks)), "does not say how its generator is built")


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_runs_code_does_not(
    network: DCGANGenerator, saved: Save, checkpoint: Make, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    path = saved({**checkpoint(network), "callbacks": Bomb(marker)})
    refused(path, "is refused: .* it holds posix.mkdir, .* could run foreign code")
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # the trap was armed


@pytest.mark.parametrize(
    "name", ["os.system", "gan_lightning.networks.dcgan.nn.Linear", "torch.nn.Linear", "builtins.eval"]
)
def test_class_not_allowed(exported: Path, name: str) -> None:
    rewrite(exported, network={"_target_": name, "x": 1})
    refused(exported, rf"class {re.escape(name)}, .*trusted=\[{name.split('.')[-1]}\].*trusted=\[{re.escape(name)}\]")


def test_a_nested_class_is_under_the_same_list(exported: Path) -> None:
    network = {"_target_": "gan_lightning.networks.dcgan.DCGANGenerator", "image_size": 8, "channels": 1}
    rewrite(exported, network={**network, "norm": [{"deep": {"_target_": "os.getcwd"}}]})
    refused(exported, "class os.getcwd")


def test_an_untrusted_package_is_not_imported(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sly_package.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    rewrite(exported, network={"_target_": "sly_package.Net"})
    refused(exported, "class sly_package.Net")
    assert "sly_package" not in sys.modules


def test_a_trusted_name_that_is_not_there(exported: Path) -> None:
    refused(exported, "no_such_package.Net cannot be imported .*PYTHONPATH", trusted=["no_such_package.Net"])
    refused(exported, "Net cannot be imported", trusted=["Net"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": 10**9, "depth": 3},
        {"width": 10**9, "depth": 1},
        {"width": 10**18, "depth": 3},
        {"width": 8, "depth": 10**9},
        {"width": -1, "depth": 3},
        {"width": 8, "depth": 3, "latent_dim": 10**10},
        {"width": 8, "depth": 3, "num_classes": 10**10},
        {"width": "8", "depth": 3},
        {"width": 8, "colour": 3},
    ],
)
def test_absurd_arguments_cost_no_memory(tmp_path: Path, describe: Make, arguments: dict[str, Any]) -> None:
    network = MLP2dGenerator(width=8)
    path = export_generator(network, tmp_path, describe(network))
    rewrite(path, network={**network.arguments, **arguments})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "do not fit|cannot be built|far more layers")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_tensors_that_claim_more_than_the_file(saved: Save, checkpoint: Make) -> None:
    whole = checkpoint(MLP2dGenerator(width=8))
    whole["state_dict"]["generator.layers.0.weight"] = torch.zeros(1).expand(10**9, 2)
    refused(saved(whole), "claim to be larger than the file")


def test_tensors_that_do_not_fit_are_named(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    whole = checkpoint(network)
    state = whole["state_dict"]
    state["generator.extra"] = state.pop("generator.layers.0.weight")
    state["generator.layers.3.weight"] = torch.zeros(4, 2, 4, 4)
    told = r"missing: layers.0.weight; unexpected: extra; .*layers.3.weight is \(4, 2, 4, 4\) instead of \(4, 1, 4, 4\)"
    refused(saved(whole), told)


def test_json_beside(exported: Path) -> None:
    for text, words in (
        ("{", "cannot be read as JSON"),
        ("[" * 10**5, "as JSON"),
        ("[]", "not written by gan_lightning"),
    ):
        exported.with_suffix(".json").write_text(text)
        refused(exported, words)
    exported.with_suffix(".json").unlink()
    refused(exported, "generator.json is missing beside generator.safetensors")


def test_what_cannot_be_asked(exported: Path, network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    refused(exported, "one set of weights only", raw=True)
    refused(exported, "device=cuda:7 cannot be used here", device="cuda:7")
    refused(exported, "device=toaster cannot be used here", device="toaster")
    loaded = load(exported)
    for labels, words in (
        (3, "no class 3: .* 0 to 2"),
        (-1, "no class -1"),
        ("x", "called 'x'"),
        ([0, 1], "2 labels for 4"),
    ):
        with pytest.raises(UserError, match=words):
            loaded.sample(4, labels=labels)
    for n in (0, -5, 2.5):
        with pytest.raises(UserError, match=f"n={n} is no count"):
            loaded.sample(n)
    with pytest.raises(UserError, match="batch_size=0"):
        loaded.sample(1, batch_size=0)
    with pytest.raises(UserError, match="has no classes"):
        load(saved(checkpoint(MLP2dGenerator(width=8)))).sample(1, labels=0)
    with pytest.raises(UserError, match="has no attribute latent_dim, num_classes, image_shape"):
        load(saved(checkpoint(torch.nn.Linear(2, 2))), network=torch.nn.Linear(2, 2))
