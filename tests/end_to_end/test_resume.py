"""N + M iterations are N iterations, a stop, a resume and M iterations: bit for bit."""

import csv

import pytest
import torch

from gan_lightning.cli.train import train
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
    whole, parts = state(uninterrupted), state(folder)
    for key in ("state_dict", "optimizer_states"):
        assert_same(whole[key], parts[key], key)
    assert parts["gan_lightning"]["images_seen"] == 3 * 28 * 64
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
