"""N + M iterations are N iterations, a stop, a resume and M iterations: bit for bit."""

import csv
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from commands import ROOT, run_here
from PIL import Image

from gan_lightning.cli.train import main, train
from gan_lightning.errors import UserError

TINY = [
    "model.generator.width=8",
    "model.discriminator.backbone.width=8",
    "data.image_size=8",
    "data.batch_size=64",
    "callbacks=[throughput,nan_guard,sample_grid,limit,checkpoint]",
    "logger=[csv]",
    "log_every=5",
    "evaluation.num_fakes=64",
    "trainer.accelerator=cpu",
    "trainer.limit_train_batches=null",
]


def state(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same(one, other, path=""):
    """Compare nested containers, tensors bit for bit."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list | tuple):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_same(a, b, f"{path}/{index}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    else:
        assert one == other, path


def assert_same_training(one, other):
    """Compare networks, averages, optimisers and counters of two runs' last states."""
    first, second = state(one), state(other)
    for key in ("state_dict", "optimizer_states"):
        assert_same(first[key], second[key], key)
    for key in ("iteration", "images_seen"):
        assert first["gan_lightning"][key] == second["gan_lightning"][key]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train([*TINY, "max_epochs=3", f"run_dir={folder}/run"])
    return folder / "run"


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["max_epochs=1", "max_kimg=2.7"], ids=["at an epoch's end", "in mid-epoch"])
def test_resumed_is_uninterrupted(uninterrupted, tmp_path, stop):
    folder = tmp_path / "run"
    first = train([*TINY, stop, f"run_dir={folder}"])
    assert first["images_seen"] < 3 * 28 * 64
    torch.manual_seed(99)  # whatever the global stream was at, nothing hangs on it
    train([f"resume={folder}", "max_epochs=3", "max_kimg=null"])
    assert_same_training(uninterrupted, folder)
    assert state(folder)["gan_lightning"]["images_seen"] == 3 * 28 * 64
    ends = rows(uninterrupted)  # a stop in mid-epoch adds an evaluation of its own
    assert len(ends) == 3 and ends.items() <= rows(folder).items()


def rows(folder):
    """Return the metrics without what the clock decides."""
    with open(folder / "metrics.csv") as file:
        found = [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]
    by_place = {}
    for row in found:
        by_place.setdefault(row["images_seen"], {}).update({k: v for k, v in row.items() if v})
    return {place: row for place, row in by_place.items() if any(k.startswith("fid") for k in row)}


@pytest.mark.slow
def test_a_changed_architecture_is_refused_by_name_and_taken_over_on_request(uninterrupted):
    with pytest.raises(UserError, match=r"model\.generator\.width.*strict=false"):
        train([f"resume={uninterrupted}", "max_epochs=4", "model.generator.width=16"])
    last = state(uninterrupted)["state_dict"]
    folder = uninterrupted.parent / "wider"
    options = [*TINY, "model.generator.width=16", f"run_dir={folder}", "max_epochs=4", "strict=false"]
    result = train([*options, f"ckpt_path={uninterrupted}/checkpoints/last.ckpt", "optim.lr=0.0"])
    assert result["images_seen"] > 3 * 28 * 64
    taken = state(folder)["state_dict"]["discriminator.backbone.layers.0.weight"]
    assert torch.equal(taken, last["discriminator.backbone.layers.0.weight"])


def test_a_folder_without_a_run_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"no run's folder"):
        train([f"resume={tmp_path}"])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Return a folder of 50 images of many sizes."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(50):
        noise = np.random.default_rng(number).integers(0, 256, (9 + number % 5, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / f"{number:02d}.png")
    return root


FILES = [
    *(word for word in TINY if not word.startswith("data.batch_size")),
    *("data=folder", "data.batch_size=8", "data.cache_gib=0", "data.mirror=true", "metrics=[]"),
]


@pytest.fixture(scope="module")
def uninterrupted_files(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    train([*FILES, f"data.root={pictures}", "data.num_workers=0", "max_epochs=4", f"run_dir={folder}"])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stop", ["max_epochs=2", "max_kimg=0.12"], ids=["at an epoch's end", "in mid-epoch"])
def test_images_from_files_go_on_where_they_were(uninterrupted_files, pictures, tmp_path, stop, workers):
    folder = tmp_path / "run"
    words = [*FILES, f"data.root={pictures}", f"data.num_workers={workers}", f"run_dir={folder}", stop]
    assert train(words)["images_seen"] in (96, 120)  # of 48 in an epoch
    train([f"resume={folder}", "max_epochs=4", "max_kimg=null"])
    assert_same_training(uninterrupted_files, folder)


SLOW = """
import os
import time
from lightning import Callback

class Slow(Callback):
    def on_train_batch_end(self, *_):
        time.sleep(float(os.environ["SECONDS_A_BATCH"]))
"""


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(uninterrupted, tmp_path, monkeypatch, capsys):
    (tmp_path / "slow.py").write_text(SLOW)
    words = [*TINY, "max_epochs=3", "+callbacks.slow._target_=slow.Slow", "callbacks.checkpoint.every_kimg=0.64"]
    command = [sys.executable, str(ROOT / "train.py"), *words, "hydra.run.dir=run"]
    environment = {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1", "SECONDS_A_BATCH": "0.3"}
    started = subprocess.Popen(command, cwd=tmp_path, env=os.environ | environment, stdout=subprocess.DEVNULL)
    last, deadline = tmp_path / "run/checkpoints/last.ckpt", time.monotonic() + 240
    while not last.exists() and time.monotonic() < deadline and started.poll() is None:
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL and state(tmp_path / "run")["gan_lightning"]["iteration"] == 10
    monkeypatch.setenv("SECONDS_A_BATCH", "0")
    monkeypatch.syspath_prepend(str(tmp_path))
    run_here(main, ["train.py", "resume=run"], tmp_path, monkeypatch)
    assert "samples" in capsys.readouterr().out
    assert_same_training(uninterrupted, tmp_path / "run")
    assert rows(tmp_path / "run") == rows(uninterrupted)


def test_overrides_beside_resume_are_shown_and_kept(tmp_path, capsys):
    folder = tmp_path / "run"
    short = [*TINY, "metrics=[]", "trainer.limit_train_batches=2"]
    train([*short, "max_epochs=1", f"run_dir={folder}"])
    capsys.readouterr()
    assert (
        train([f"resume={folder}", "max_epochs=2", "optim.lr=1e-3", "loss=hinge", "~logger.csv"])["images_seen"] == 256
    )
    printed = capsys.readouterr().out
    for line in ("max_epochs = 2", "optim.lr = 0.001", "loss = hinge"):
        assert f"resume: {line}" in printed
    assert train([f"resume={folder}"])["images_seen"] == 256
    assert "Nothing was left to train after 256 images" in capsys.readouterr().out
    entry = state(folder)["gan_lightning"]["config"]
    assert entry["logger"] == {} and entry["optim"]["generator"]["lr"] == 1e-3
    assert entry["loss"]["_target_"].endswith("Hinge")


@pytest.mark.slow
def test_a_resumed_run_keeps_its_wandb_id(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = tmp_path / "run"
    words = [*TINY, "metrics=[]", "logger=[csv,wandb]", "logger.wandb.offline=true", "trainer.limit_train_batches=2"]
    train([*words, "max_epochs=1", f"run_dir={folder}"])
    train([f"resume={folder}", "max_epochs=2"])
    runs = [path.name.split("-")[3] for path in (folder / "wandb").glob("offline-run-*")]  # ...-ID, or ...-ID-1
    assert len(runs) == 2 and set(runs) == {(folder / "wandb_id").read_text().strip()}
