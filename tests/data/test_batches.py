"""The order of training batches: permutations, ranks, mirroring, taking up in the middle."""

from __future__ import annotations

import lightning as L
import pytest
import torch
from torch import Tensor

from gan_lightning.data import Digits, Ring
from gan_lightning.data.data_module import GANData
from gan_lightning.data.loaders import FileLoader, TensorLoader
from gan_lightning.data.order import GlobalBatches
from gan_lightning.data.sources import TensorImages
from gan_lightning.errors import UserError


def numbered(count: int) -> TensorImages:
    """Images whose left half tells their number and whose right half is black."""
    images = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    images[..., 0] = torch.arange(1, count + 1, dtype=torch.uint8)[:, None, None]
    return TensorImages(images, torch.arange(count))


def loader(kind: str, batches: GlobalBatches) -> TensorLoader | FileLoader:
    """Return a loader of numbered images; `kind`: "tensor", or the number of workers."""
    source = numbered(batches.num_images)
    return TensorLoader(source, batches) if kind == "tensor" else FileLoader(source, batches, int(kind))


def labels(loader: TensorLoader | FileLoader) -> list[list[int]]:
    return [batch["label"].tolist() for batch in loader]


def test_every_epoch_is_another_permutation() -> None:
    batches = GlobalBatches(100, 10, seed=3)
    first, second = batches.epoch(0), batches.epoch(1)
    assert sorted(first.flatten().tolist()) == sorted(second.flatten().tolist()) == list(range(100))
    assert not torch.equal(first, second)
    assert torch.equal(first, GlobalBatches(100, 10, seed=3).epoch(0))
    assert not torch.equal(first, GlobalBatches(100, 10, seed=4).epoch(0))


def test_incomplete_batch_is_dropped() -> None:
    batches = GlobalBatches(29, 4, seed=0)
    assert len(batches) == len(list(batches)) == 7
    assert len(set(batches.epoch(0).flatten().tolist())) == 28


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_batch_of_one(world_size: int, mirror: bool) -> None:
    alone = GlobalBatches(50, 8, seed=1, mirror=mirror).epoch(5)
    together = [GlobalBatches(50, 8, 1, mirror, rank, world_size).epoch(5) for rank in range(world_size)]
    assert torch.equal(torch.cat(together, dim=1), alone)


@pytest.mark.parametrize("kind", ["tensor", "0", "2"])
def test_loader_takes_up_where_it_was_left(kind: str) -> None:
    iteration = 0
    batches = GlobalBatches(40, 8, seed=2, mirror=True, position=lambda: iteration)
    reader = loader(kind, batches)
    whole = [[batch["image"] for batch in reader]]
    iteration = 5
    whole.append([batch["image"] for batch in reader])  # the second pass of persistent workers too
    for iteration in range(10):
        epoch, offset = divmod(iteration, 5)
        rest = [batch["image"] for batch in reader]
        assert len(rest) == 5 - offset and len(reader) == 5
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[epoch][offset:], strict=True))


def test_loaders_agree() -> None:
    batches = GlobalBatches(40, 8, seed=2, mirror=True)
    for ours, theirs in zip(loader("tensor", batches), loader("0", batches), strict=True):
        assert torch.equal(ours["image"], theirs["image"]) and torch.equal(ours["label"], theirs["label"])
        assert ours["label"].dtype == theirs["label"].dtype == torch.int64 and ours["image"].dtype == torch.uint8


@pytest.mark.parametrize("kind", ["tensor", "0"])
def test_mirrored_images_are_flipped_and_about_half(kind: str) -> None:
    mirrored = 0
    source = numbered(200)
    for batch in loader(kind, GlobalBatches(200, 20, seed=0, mirror=True)):
        for image, label in zip(batch["image"], batch["label"], strict=True):
            plain = source.images[label]
            assert torch.equal(image, plain) or torch.equal(image, plain.flip(-1))
            mirrored += bool(image[0, 0, 0] == 0)
    assert 70 < mirrored < 130  # binomial(200, 1/2): four standard deviations


def test_mirroring_leaves_the_order() -> None:
    plain, mirrored = (GlobalBatches(60, 6, seed=9, mirror=m).epoch(2) for m in (False, True))
    assert torch.equal(plain, mirrored % 60)


def test_batch_errors() -> None:
    with pytest.raises(UserError, match=r"cannot be divided among 3; take 63"):
        GlobalBatches(100, 64, seed=0, world_size=3)
    with pytest.raises(UserError, match=r"10 images do not fill a batch; set data.batch_size to at most 10"):
        GlobalBatches(10, 64, seed=0)


class Recorder(L.LightningModule):
    """Counts iterations as our modules do and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.iteration, self.seen = 0, []

    def training_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.seen.append(batch["image"].double().sum().item())
        self.iteration += 1

    def configure_optimizers(self) -> None:
        return None

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["iteration"] = self.iteration

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.iteration = checkpoint["iteration"]


class Numbered(GANData):
    """Numbered images behind torch's DataLoader, as files would be."""

    name = "numbered"

    def load(self, split: str) -> TensorImages:
        return numbered(48)

    def train_dataloader(self) -> FileLoader:
        return FileLoader(self.source("train"), self.batches(), self.num_workers)


def fit(module: Recorder, data: GANData, folder: str, epochs: int, **options: object) -> L.Trainer:
    path = options.pop("ckpt_path", None)
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", default_root_dir=folder, **quiet, **options)
    trainer.fit(module, data, ckpt_path=path)
    return trainer


class StopAt(L.Callback):
    """Saves after `iterations` and stops, as a kill would, in the middle of an epoch or at its end."""

    def __init__(self, iterations: int, path: str) -> None:
        self.iterations, self.path = iterations, path

    def on_train_batch_end(self, trainer: L.Trainer, module: Recorder, *_: object) -> None:
        if module.iteration == self.iterations:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("killed_at", [4, 6, 8])
def test_lightning_resumes_the_stream(tmp_path, workers: int, killed_at: int) -> None:
    def data() -> Numbered:
        return Numbered(image_size=2, channels=1, batch_size=8, num_classes=48, mirror=True, num_workers=workers)

    uninterrupted = Recorder()
    fit(uninterrupted, data(), tmp_path, epochs=3)
    assert len(uninterrupted.seen) == 18

    killed, resumed, path = Recorder(), Recorder(), str(tmp_path / "killed.ckpt")
    with pytest.raises(SystemExit):
        fit(killed, data(), tmp_path, epochs=3, callbacks=[StopAt(killed_at, path)])
    fit(resumed, data(), tmp_path, epochs=3, ckpt_path=path)
    assert killed.seen + resumed.seen == uninterrupted.seen


def test_lightning_trains_on_a_tensor_without_a_dataloader(tmp_path) -> None:
    module = Recorder()
    trainer = fit(module, Ring(num_points=100, batch_size=20), tmp_path, epochs=2)
    assert len(module.seen) == 10 and trainer.num_training_batches == 5


def test_indivisible_batch_is_found_before_training() -> None:
    data = Digits(batch_size=65)
    data.trainer = type("Trainer", (), {"world_size": 2, "global_rank": 0, "lightning_module": None})()
    with pytest.raises(UserError, match=r"data.batch_size=65 .* divided among 2; take 64"):
        data.setup("fit")


@pytest.mark.parametrize(("on_device", "expected"), [("auto", "meta"), (True, "meta"), (False, "cpu")])
def test_small_sets_lie_on_the_device_of_the_trainer(on_device: bool | str, expected: str) -> None:
    """The meta device has no values: batches that come out of it were made without reading one back to the host."""
    data = Digits(on_device=on_device, mirror=True)
    strategy = type("Strategy", (), {"root_device": torch.device("meta")})()
    attributes = {"world_size": 2, "global_rank": 1, "lightning_module": None, "strategy": strategy}
    data.trainer = type("Trainer", (), attributes)()
    batches = list(data.train_dataloader())
    assert len(batches) == 28 and batches[0]["image"].shape == (32, 1, 32, 32)
    assert {batch[key].device.type for batch in batches for key in batch} == {expected}
