"""A set smaller than the default batch: its batch falls unless it was asked for. A run keeps its classes' order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from gan_lightning.inference.load import load

SHORT = [
    "trainer=cpu",
    "metrics=[]",
    "callbacks=[limit,checkpoint]",
    "logger=[]",
    "model.generator.width=4",
    "data=folder",
    "data.image_size=16",
    "max_epochs=2",
]


def folder(root: Path, count: int) -> str:
    root.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        Image.fromarray((torch.rand(16, 16, 3) * 255).byte().numpy()).save(root / f"{index}.png")
    return f"data.root={root}"


def test_the_default_batch_falls_to_the_images_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    result = train([*SHORT, folder(tmp_path / "set", 47), "model.accumulate=2", f"run_dir={run}"])
    assert "data.batch_size=46 instead of 64, which 47 images do not fill.\n" in capsys.readouterr().out
    assert result["images_seen"] == 2 * 46
    assert OmegaConf.load(run / "config.yaml").data.batch_size == 46
    assert load(run).config["data"]["batch_size"] == 46
    folder(tmp_path / "set", 70)  # a resumed run goes on with the batch it had
    capsys.readouterr()
    assert train([f"resume={run}", "max_epochs=3"])["images_seen"] % 46 == 0
    assert OmegaConf.load(run / "config.yaml").data.batch_size == 46
    assert "instead of" not in capsys.readouterr().out


@pytest.mark.parametrize("asked", ["data.batch_size=64", "++data.batch_size=64", "experiment=fastgan_few_shot"])
def test_a_batch_that_was_asked_for_stays(tmp_path: Path, asked: str) -> None:
    words = [asked, folder(tmp_path / "set", 7), f"run_dir={tmp_path / 'run'}"]
    words = [*words, *(word for word in SHORT if "width" not in word)] if "experiment" in asked else [*SHORT, *words]
    with pytest.raises(UserError, match=r"7 images do not fill a batch; set data.batch_size to at most 7"):
        train(words)


def test_it_falls_to_what_the_minibatch_statistic_can_divide(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in SHORT if "width" not in word and "max_epochs" not in word]
    small = ["model.generator.channel_max=4", "model.discriminator.backbone.channel_max=4"]
    model = ["model=stylegan2", *small, "regularizer=[]", "max_epochs=1"]
    train([*words, folder(tmp_path / "set", 7), *model, f"run_dir={tmp_path / 'run'}"])
    assert "data.batch_size=6 instead of 64" in capsys.readouterr().out


def test_where_no_batch_fits_it_is_refused_as_before(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"5 images do not fill a batch; set data.batch_size to at most 5"):
        train([*SHORT, folder(tmp_path / "set", 5), "model.accumulate=8", f"run_dir={tmp_path / 'run'}"])


def test_a_run_with_the_former_order_of_classes_goes_on_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [str(number) for number in range(11)]
    for name in numbers:
        folder(tmp_path / "set" / name, 1)
    words = [*SHORT, f"data.root={tmp_path / 'set'}", "data.labels=folders", "conditioning=concat"]
    with monkeypatch.context() as patch:
        patch.setattr("gan_lightning.data.folder_classes.natural_order", sorted)
        train([*words, f"run_dir={tmp_path / 'run'}"])
    assert load(tmp_path / "run").class_names == sorted(numbers)
    assert load(tmp_path / "run").class_number(2) == 3
    capsys.readouterr()
    train([f"resume={tmp_path / 'run'}", "max_epochs=3"])
    train([*words, f"init_from={tmp_path / 'run'}", f"run_dir={tmp_path / 'another'}"])
    assert capsys.readouterr().out.count("the classes keep the order of the run: 0, 1, 10, 2, 3, ") == 2
    assert load(tmp_path / "run").class_names == load(tmp_path / "another").class_names == sorted(numbers)
    train([*words, f"run_dir={tmp_path / 'new'}"])
    assert load(tmp_path / "new").class_names == numbers
