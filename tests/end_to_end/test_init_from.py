"""A training that begins with another one's weights, and keeps the first stages of the discriminator as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from gan_lightning import GAN
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, MLP2dBackbone, MLP2dGenerator

TINY = [
    *("model=dcgan", "data=digits", "data.batch_size=32", "model.generator.width=4"),
    *("model.discriminator.backbone.width=4", "metrics=[]", "callbacks=[checkpoint]", "logger=[csv]", "trainer=cpu"),
    *("trainer.limit_train_batches=4", "max_epochs=1"),
]


def state(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first") / "run"
    train([*TINY, "data.image_size=16", f"run_dir={folder}"])
    return folder


def of(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in tensors.items() if name.startswith(prefix)}


def test_weights_are_taken_over_and_all_else_is_fresh(
    first: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """At a rate of zero the networks stay what they were, and the average is a copy of them and not the old one."""
    words = ["data.image_size=16", f"init_from={first}", "optim.lr=0.0", "seed=5", f"run_dir={tmp_path}/run"]
    result = train([*TINY, *words])
    assert result["images_seen"] == 4 * 32  # counted from zero
    before, after = state(first), state(tmp_path / "run")
    for name, value in of("generator.", before).items():
        if "running" not in name and "num_batches" not in name:  # batch norm's statistics move without a step
            assert torch.equal(after[name], value), name
            torch.testing.assert_close(after[name.replace("generator.", "generator_ema.", 1)], value)
    assert "were taken over" in capsys.readouterr().out
    moved = [not torch.equal(before[n], v) for n, v in of("generator_ema.", after).items() if n.endswith("0.weight")]
    assert any(moved)  # the average of the first run was another


def test_what_does_not_fit_is_listed(first: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["data.image_size=32", "model.generator.width=8", f"init_from={first}", f"run_dir={tmp_path}/run"]
    train([*TINY, *words])
    said = capsys.readouterr().out
    assert "of another shape: generator.layers.0.weight is" in said or "of another shape: generator." in said
    assert "not there, as drawn: generator.layers." in said and "of another shape" in said


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_frozen_stages_stay_bit_for_bit_and_the_rest_learns(first: Path, tmp_path: Path, norm: str) -> None:
    spectral = str(norm == "none").lower()
    network = [f"model.discriminator.backbone.norm={norm}", f"model.discriminator.backbone.spectral_norm={spectral}"]
    common = [*TINY, "data.image_size=32", *network]
    train([*common, f"run_dir={tmp_path}/start"])
    clip = ["regularizer=[weight_clipping]", "regularizer.weight_clipping.limit=0.001"] if norm == "batch" else []
    words = [f"init_from={tmp_path}/start/checkpoints/last.ckpt", "model.freeze_d=2", *clip, f"run_dir={tmp_path}/run"]
    train([*common, *words])
    before, after = state(tmp_path / "start"), state(tmp_path / "run")
    second = "discriminator.backbone.layers.2."
    frozen = {n for n in before if n.startswith(("discriminator.backbone.layers.0.", second))}
    frozen |= {n for n in before if norm == "batch" and n.startswith("discriminator.backbone.layers.3.")}
    assert len(frozen) >= (7 if norm == "batch" else 4)
    changed = {n for n in of("discriminator.", before) if not torch.equal(before[n], after[n])}
    assert not changed & frozen
    still = {"discriminator.head.linear.parametrizations.weight.0.u"}  # the one direction of a single output
    assert changed | still == set(of("discriminator.", before)) - frozen | still


def test_a_run_goes_on_with_other_stages_frozen_only_with_fresh_optimisers(first: Path, tmp_path: Path) -> None:
    """The optimiser's state is that of other parameters, although all tensors fit."""
    shutil.copytree(first, tmp_path / "run")
    words = [f"resume={tmp_path}/run", "max_epochs=2", "model.freeze_d=1"]
    with pytest.raises(UserError, match=r"model\.freeze_d, the parameters that are trained differ.*strict=false"):
        train(words)
    assert train([*words, "strict=false"])["images_seen"] == 3 * 4 * 32  # 2 epochs from the weights and counters
    kept = "discriminator.backbone.layers.0.weight"
    assert torch.equal(state(first)[kept], state(tmp_path / "run")[kept])
    assert train([f"resume={tmp_path}/run", "max_epochs=4"])["images_seen"] == 4 * 4 * 32  # its own stages: as ever


def test_each_mistake_is_one_sentence(first: Path, tmp_path: Path) -> None:
    run = [*TINY, "data.image_size=16", f"run_dir={tmp_path}/run"]
    with pytest.raises(UserError, match="There is no checkpoint at /nowhere"):
        train([*run, "init_from=/nowhere"])
    with pytest.raises(UserError, match="ckpt_path and init_from exclude each other"):
        train([*run, f"init_from={first}", f"ckpt_path={first}"])
    with pytest.raises(UserError, match=r"model\.freeze_d=9 is out of range: DCGANBackbone has 2 stages"):
        train([*run, "model.freeze_d=9"])
    module = GAN(MLP2dGenerator(width=4), Discriminator(MLP2dBackbone(width=4)))
    with pytest.raises(UserError, match="holds no tensor that fits"):
        module.begin_with({"generator.layers.0.weight": torch.zeros(7, 7), "encoder.bias": torch.zeros(4)})
