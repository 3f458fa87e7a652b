"""Going on with another batch size, another data set, other classes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from gan_lightning.modules import going_on
from gan_lightning.modules.gan import GAN

TINY = [
    *("data=folder", "data.image_size=8", "data.batch_size=8", "data.num_workers=0", "metrics=[]", "logger=[csv]"),
    *("callbacks=[limit,checkpoint]", "model.generator.width=4", "model.discriminator.backbone.width=4"),
    *("trainer.accelerator=cpu", "trainer.devices=1"),
]


def pictures(folder: Path, numbers: range) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number:02d}.png")
    return folder


def place(run: Path) -> dict[str, int]:
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["gan_lightning"]["place"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return pictures(tmp_path / "pictures", range(40))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_another_batch_size_goes_on_in_the_middle_of_an_epoch(root, run):
    assert train([*TINY, f"data.root={root}", f"run_dir={run}", "max_kimg=0.024"])["images_seen"] == 24
    ended = train([f"resume={run}", "max_kimg=null", "max_epochs=2", "data.batch_size=16"])
    assert ended["images_seen"] == 24 + 16 + 2 * 16  # the first epoch's unseen images, then a whole epoch
    assert (place(run)["epochs"], place(run)["passes"]) == (2, 2)
    ended = train([f"resume={run}", "max_epochs=3", "data.batch_size=4"])
    assert ended["images_seen"] == 72 + 40 and place(run)["epochs"] == 3
    with pytest.raises(UserError, match="max_epochs=2 is less than the 3 epochs that are trained already"):
        train([f"resume={run}", "max_epochs=2", "data.batch_size=16"])


def test_a_changed_data_set_is_said_and_begins_a_new_pass(root, run, capsys):
    train([*TINY, f"data.root={root}", f"run_dir={run}", "max_kimg=0.064"])  # one epoch and three fifths
    pictures(root, range(40, 80))
    ended = train([f"resume={run}", "max_kimg=null", "max_epochs=2"])
    assert ended["images_seen"] == 64 + 80
    line = "resume: the data set has 80 images, 40 when the run was saved: epoch 2 begins anew with them, after 64"
    assert line in capsys.readouterr().out
    assert train([f"resume={run}"])["images_seen"] == 144
    printed = capsys.readouterr().out
    assert "Nothing was left to train after 144 images" in printed and "begins" not in printed
    for number in range(60):
        (root / f"{number:02d}.png").unlink()
    (root / "79.png").rename(root / "99.png")
    assert train([f"resume={run}", "max_epochs=3"])["images_seen"] == 144 + 16
    assert "has 20 images, 80 when the run was saved: epoch 3 begins with them, after 144" in capsys.readouterr().out
    (root / "99.png").rename(root / "59.png")
    train([f"resume={run}", "max_epochs=4"])
    assert "has 20 images as before, but other ones or in another order" in capsys.readouterr().out


def test_renamed_classes_are_refused_where_a_network_has_them(tmp_path, run):
    root = tmp_path / "animals"
    for name in ("cat", "dog"):
        pictures(root / name, range(8))
    words = [*TINY, f"data.root={root}", "data.labels=folders", f"run_dir={run}"]
    train([*words, "conditioning=projection", "max_epochs=1"])
    plain = tmp_path / "plain"
    train([*words, f"run_dir={plain}", "max_epochs=1"])
    before = (run / "config.yaml").read_text()
    (root / "cat").rename(root / "kitten")
    (root / "dog").rename(root / "cat")
    with pytest.raises(UserError, match="was trained with the classes cat, dog, and the data set has cat, kitten: "):
        train([f"resume={run}", "max_epochs=2"])
    assert (run / "config.yaml").read_text() == before
    assert train([f"resume={plain}", "max_epochs=2"])["images_seen"] == 32


@pytest.mark.parametrize(("then", "now"), [("cat, dog", "cat, dog, eel"), ("cat, dog, eel", "cat, dog")])
def test_more_or_fewer_classes_are_refused_by_name_and_begin_by_init_from(tmp_path, run, then, now):
    for name in {*then.split(", "), *now.split(", ")}:
        pictures(tmp_path / name, range(8))
    root = tmp_path / "animals"
    words = [*TINY, f"data.root={root}", "data.labels=folders", "conditioning=projection"]
    with_classes(root, then)
    train([*words, f"run_dir={run}", "max_epochs=1"])
    with_classes(root, now)
    for strict in ("true", "false"):
        with pytest.raises(UserError, match=f"with the classes {then}, and the data set has {now}: .* by init_from"):
            train([f"resume={run}", "max_epochs=2", f"strict={strict}"])
    new = [*words, f"init_from={run}", f"run_dir={tmp_path / 'new'}", "max_epochs=1"]
    assert train(new)["images_seen"] == 8 * len(now.split())


def with_classes(root: Path, names: str) -> None:
    """Make `root` hold the classes `names`, links to the folders beside it."""
    root.mkdir(exist_ok=True)
    for link in root.iterdir():
        link.unlink()
    for name in names.split(", "):
        (root / name).symlink_to(root.parent / name)


def test_of_many_classes_the_added_one_is_shown():
    names = [f"n{number}" for number in range(12)]
    entry, data = {"data": {"class_names": names}}, {"class_names": [*names, "n12"]}
    with pytest.raises(UserError, match=r"\.\.\., n6, n7, n8, n9, n10, n11, and the data set has \.\.\., .*, n12: "):
        going_on.check_classes(entry, data, [SimpleNamespace(num_classes=12)])


def test_a_schedule_ends_with_the_run_whose_batch_size_has_changed(root, run):
    words = [*TINY, f"data.root={root}", f"run_dir={run}", "schedule=linear_decay", "max_epochs=4"]
    assert length_of(words) == 160
    train([*words, "max_kimg=0.024"])
    assert length_of([f"resume={run}", "max_kimg=null", "data.batch_size=16"]) == 24 + 16 + 3 * 32


def length_of(words: list[str]) -> float:
    """Return the number of images that the schedules of a run reckon with, as it starts."""
    found = []

    class Stopped(Exception):
        pass

    def started(module: GAN) -> None:
        found.append(module._length_in_images())
        raise Stopped

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(GAN, "on_train_start", started)
        train(words)
    return found[0]
