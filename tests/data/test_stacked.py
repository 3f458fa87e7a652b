"""Stacked digits: who lies on whom, the law of the modes, memory, and the same batches from any point on."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_lightning.cli.train import train
from gan_lightning.data import Digits, Stacked, StackedDigits, StackedMNIST
from gan_lightning.data.loaders import FileLoader, TensorLoader
from gan_lightning.errors import UserError


def images(data: Stacked, count: int) -> torch.Tensor:
    return torch.stack([data.reference()[index]["image"] for index in range(count)])


def test_each_channel_is_a_digit_and_the_number_reads_them() -> None:
    data, single = StackedDigits(num_stacks=300, batch_size=10), Digits().source("train")
    source = data.source("train")
    assert len(source) == data.num_images == 300 and data.image_shape == (3, 32, 32)
    for index in range(0, 300, 7):
        digits = [single[int(number)] for number in source.triples[index]]
        assert torch.equal(data.reference()[index]["image"], torch.cat([digit["image"] for digit in digits]))
        assert int(source.numbers[index]) == int("".join(str(digit["label"]) for digit in digits))
    assert "label" not in source[0] and source.labels is None


def test_the_protocol_is_128000_stacks_that_take_the_memory_of_the_digits() -> None:
    data = StackedDigits()
    source = data.source("train")
    assert len(data.train_dataloader()) == 2000 and data.num_fakes == 26_000
    whole = len(source) * 3 * 32 * 32
    assert whole > 390e6 and source.images.nbytes < 5e6 < whole / 50
    counts = source.numbers.bincount(minlength=1000)
    assert (counts > 0).all() and source.law.sum().item() == pytest.approx(1)
    # Pearson's statistic of the law that is claimed: 999 degrees of freedom, five standard deviations.
    expected = source.law * len(source)
    assert ((counts - expected) ** 2 / expected).sum().item() == pytest.approx(999, abs=5 * (2 * 999) ** 0.5)


def test_the_three_channels_are_independent() -> None:
    channels = StackedDigits().source("train").triples.double().T
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 5 / 128_000**0.5


def test_stacks_follow_the_seed_and_so_does_the_fingerprint() -> None:
    few = {"num_stacks": 50, "batch_size": 5}
    assert torch.equal(images(StackedDigits(**few, seed=1), 50), images(StackedDigits(**few, seed=1), 50))
    assert not torch.equal(images(StackedDigits(**few, seed=1), 50), images(StackedDigits(**few, seed=2), 50))
    sets = [few | {"seed": 2}, few | {"num_stacks": 51}, few | {"image_size": 16}, few]
    assert len({StackedDigits(**options).fingerprint() for options in sets}) == 4
    assert StackedDigits(**few).fingerprint() == StackedDigits(num_stacks=50, mirror=True).fingerprint()


def test_the_first_stacks_are_no_others_where_there_are_more() -> None:
    assert torch.equal(images(StackedDigits(num_stacks=40), 40), images(StackedDigits(num_stacks=90), 40))


@pytest.mark.parametrize("mirror", [False, True])
def test_batches_are_those_that_a_dataloader_would_collate(mirror: bool) -> None:
    data = StackedDigits(num_stacks=40, batch_size=8, mirror=mirror)
    fast = data.train_dataloader()
    assert isinstance(fast, TensorLoader)
    slow = FileLoader(data.source("train"), data.batches())
    for ours, theirs in zip(fast, slow, strict=True):
        assert ours.keys() == theirs.keys() == {"image"} and ours["image"].dtype == torch.uint8
        assert torch.equal(ours["image"], theirs["image"])


def test_batches_go_on_where_they_were() -> None:
    data = StackedDigits(num_stacks=40, batch_size=8)
    module = type("Module", (), {"iteration": 0})()
    data.trainer = type("Trainer", (), {"world_size": 1, "global_rank": 0, "lightning_module": module})()
    data._device_for = lambda source: torch.device("cpu")  # type: ignore[method-assign]
    loader = data.train_dataloader()
    whole = [batch["image"] for batch in loader]
    module.iteration = 3
    assert all(torch.equal(a, b["image"]) for a, b in zip(whole[3:], loader, strict=True))
    module.iteration = 5
    assert not torch.equal(next(iter(loader))["image"], whole[0])  # the next epoch has another order


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    tiny = ["data=stacked_digits", "data.num_stacks=256", "data.image_size=8", "metrics=[]", "trainer=cpu"]
    tiny += ["model.generator.width=2", "model.discriminator.backbone.width=2", "logger=[csv]"]
    tiny += ["callbacks=[nan_guard,limit,checkpoint]"]
    train([*tiny, "max_kimg=0.512", f"run_dir={tmp_path}/whole"])
    train([*tiny, "max_kimg=0.32", f"run_dir={tmp_path}/parts"])  # in the middle of the second epoch
    train([f"resume={tmp_path}/parts", "max_kimg=0.512"])
    last = [tmp_path / run / "checkpoints/last.ckpt" for run in ("whole", "parts")]
    whole, parts = (torch.load(path, weights_only=True) for path in last)
    assert whole["gan_lightning"]["iteration"] == parts["gan_lightning"]["iteration"] == 8
    assert whole["state_dict"].keys() == parts["state_dict"].keys()
    assert all(torch.equal(value, parts["state_dict"][name]) for name, value in whole["state_dict"].items())


def test_two_processes_share_the_batch_of_one() -> None:
    def batches(rank: int, world: int) -> list[torch.Tensor]:
        data = StackedDigits(num_stacks=40, batch_size=8)
        strategy = type("Strategy", (), {"root_device": torch.device("cpu")})()
        known = {"world_size": world, "global_rank": rank, "lightning_module": None, "strategy": strategy}
        data.trainer = type("Trainer", (), known)()
        return [batch["image"] for batch in data.train_dataloader()]

    together = [torch.cat(parts) for parts in zip(batches(0, 2), batches(1, 2), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(together, batches(0, 1), strict=True))


def test_the_digits_can_lie_on_the_device_of_the_trainer() -> None:
    source = StackedDigits(num_stacks=40).source("train")
    assert source.images.to("meta")[torch.arange(5, device="meta")].shape == (5, 3, 32, 32)
    assert source.images.to("meta").device.type == "meta"


def write_mnist(root: Path) -> None:
    """Write MNIST's own files, 20 images to train and 10 to test: ten times the digit, and one more in the former."""
    folder = root / "MNIST/raw"
    folder.mkdir(parents=True)
    for name, count in (("train", 20), ("t10k", 10)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = np.repeat(labels * 10 + (name == "train"), 28 * 28).astype(np.uint8)
        heads = struct.pack(">IIII", 2051, count, 28, 28), struct.pack(">II", 2049, count)
        files = (f"{name}-images-idx3-ubyte", pixels), (f"{name}-labels-idx1-ubyte", labels)
        for head, (file, values) in zip(heads, files, strict=True):
            (folder / file).write_bytes(head + values.tobytes())
            (folder / f"{file}.gz").write_bytes(gzip.compress(head + values.tobytes()))


def test_stacked_mnist_stacks_each_split_of_mnist(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    data = StackedMNIST(root=str(tmp_path), num_stacks=60, image_size=28)
    for split, one_more in (("train", 1), ("test", 0)):
        source = data.source(split)
        values = source.images[torch.arange(60)][:, :, 5, 7]
        assert len(source) == 60 and torch.equal(values % 10, torch.full_like(values, one_more))
        digits = torch.tensor([100, 10, 1]) * (values // 10).long()
        assert torch.equal(digits.sum(1), source.numbers)


def test_without_mnist_the_sentence_says_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.datasets import MNIST

    def refuse(self: MNIST) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(MNIST, "download", refuse)
    with pytest.raises(UserError, match=r"data=mnist is not in .*place it at .*MNIST/raw"):
        StackedMNIST(root=str(tmp_path)).setup()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"channels": 1}, "leave data.channels at 3 and data.num_classes at 0"),
        ({"num_classes": 1000}, "leave data.channels at 3 and data.num_classes at 0"),
        ({"num_stacks": 0}, "data.num_stacks=0 is not possible"),
        ({"image_size": 0}, "data.image_size=0 is not possible"),
    ],
)
def test_options_out_of_range(options: dict[str, int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        StackedDigits(**options)
