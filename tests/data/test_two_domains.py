"""Two domains in one batch: each in a keyed order of its own, the shorter one beginning again, from any point on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_lightning.data import Folder, GANData
from gan_lightning.data.loaders import FileLoader, TensorLoader
from gan_lightning.data.order import GlobalBatches, JointBatches, joint
from gan_lightning.data.sources import Renamed, SideBySide, Source, TensorImages
from gan_lightning.errors import UserError
from tests.data.test_batches import StopAt

BATCH, EPOCH = 8, 5  # of 43 and 13 images: 3 are left over in an epoch, and a pass of the shorter ends in mid-batch


def numbered(count: int, labelled: bool) -> TensorImages:
    """Return images whose left half tells their number and whose right half is black."""
    images = torch.zeros(count, 1, 2, 2, dtype=torch.uint8)
    images[..., 0] = torch.arange(1, count + 1, dtype=torch.uint8)[:, None, None]
    return TensorImages(images, torch.arange(count) if labelled else None)


@dataclass(kw_only=True, eq=False, repr=False)
class TwoSets(GANData):
    """Labelled `image` and unlabelled `image_b`; from_files: behind torch's DataLoader, as files would be."""

    image_size: int = 2
    channels: int = 1
    batch_size: int = BATCH
    num_classes: int = 64
    first: int = 43
    second: int = 13
    from_files: bool = False
    name = "two_sets"
    splits = ("train",)

    def load(self, split: str) -> Source:
        return self._kept(numbered(self.first, labelled=True))

    def load_others(self, split: str) -> dict[str, Source]:
        return {"b": Renamed(self._kept(numbered(self.second, labelled=False)), {"image": "image_b"})}

    def _kept(self, source: TensorImages) -> Source:
        return OnDemand(source) if self.from_files else source


class OnDemand(Source):
    """Images that are read one by one."""

    def __init__(self, source: TensorImages) -> None:
        self.inner, self.labels = source, source.labels

    def __len__(self) -> int:
        return len(self.inner)

    def image(self, index: int) -> Tensor:
        return self.inner.image(index)


def at(data: TwoSets, iteration: int, rank: int = 0, world: int = 1) -> TwoSets:
    """Put `data` into process `rank` of a trainer that has done `iteration` iterations."""
    module = type("Module", (), {"iteration": iteration})()
    strategy = type("Strategy", (), {"root_device": torch.device("cpu")})()
    known = {"world_size": world, "global_rank": rank, "lightning_module": module, "strategy": strategy}
    data.trainer = type("Trainer", (), known)()
    return data


def batches(count: int, start: int = 0, rank: int = 0, world: int = 1, **options: object) -> list[dict[str, Tensor]]:
    """Return the batches of the iterations [start, count), epoch after epoch, each from a fresh loader."""
    found: list[dict[str, Tensor]] = []
    while start + len(found) < count:
        found += at(TwoSets(**options), start + len(found), rank, world).train_dataloader()
    return found[: count - start]


def numbers(batches: list[dict[str, Tensor]], field: str) -> list[int]:
    return [int(image.max()) - 1 for batch in batches for image in batch[field]]


def test_an_epoch_is_the_longest_field_and_the_other_wraps_without_a_gap() -> None:
    data = at(TwoSets(), 0)
    assert len(data.train_dataloader()) == len(list(data.train_dataloader())) == EPOCH
    found = batches(6 * EPOCH)
    assert {name: values.shape for name, values in found[0].items()} == {
        "image": (BATCH, 1, 2, 2), "label": (BATCH,), "image_b": (BATCH, 1, 2, 2),
    }  # fmt: skip
    assert all(torch.equal(batch["image"].amax((1, 2, 3)).long() - 1, batch["label"]) for batch in found)
    long, short = numbers(found, "image"), numbers(found, "image_b")
    size = EPOCH * BATCH
    passes = [long[start : start + size] for start in range(0, len(long), size)]
    assert all(len(set(each)) == size for each in passes) and all(a != b for a, b in pairwise(passes))
    turns = [short[start : start + 13] for start in range(0, len(short) - 12, 13)]
    assert len(turns) == 18 and all(sorted(turn) == list(range(13)) for turn in turns)  # every pass is complete
    assert all(a != b for a, b in pairwise(turns)) and len(set(map(tuple, turns))) == 18  # and has an order of its own


def test_the_first_source_may_be_the_shorter_one() -> None:
    found = batches(2 * EPOCH, first=13, second=43)
    assert len(at(TwoSets(first=13, second=43), 0).train_dataloader()) == EPOCH
    long, short = numbers(found, "image_b"), numbers(found, "image")
    assert len(set(long[:40])) == len(set(long[40:])) == 40
    assert [sorted(short[i : i + 13]) for i in range(0, 78, 13)] == [list(range(13))] * 6


def test_a_source_smaller_than_a_batch_wraps_within_it() -> None:
    found = numbers(batches(EPOCH, second=3), "image_b")
    assert all(sorted(found[i : i + 3]) == [0, 1, 2] for i in range(0, 39, 3)) and len(found) == 40


def test_sources_of_equal_length_have_different_orders_and_drop_the_same_rest() -> None:
    found = batches(EPOCH, second=43)
    first, second = numbers(found, "image"), numbers(found, "image_b")
    assert first != second and len(set(first)) == len(set(second)) == 40


def test_the_first_order_is_that_of_the_source_alone_and_names_key_the_others() -> None:
    together = joint({"": 43, "b": 13, "c": 13}, BATCH, seed=4, mirror=True)
    assert isinstance(together, JointBatches) and isinstance(joint({"": 43}, BATCH, seed=4), GlobalBatches)
    rows = together.rest()
    assert rows.shape == (EPOCH, BATCH, 3)
    assert torch.equal(rows[..., 0], GlobalBatches(43, BATCH, seed=4, mirror=True).epoch(0))
    assert not torch.equal(rows[..., 1], rows[..., 2])
    other = joint({"": 43, "b": 13, "c": 13}, BATCH, seed=5, mirror=True).rest()
    assert not torch.equal(rows[..., 1], other[..., 1])


def test_each_domain_is_mirrored_for_itself() -> None:
    found = batches(2 * EPOCH, mirror=True)
    turned = {f: torch.cat([b[f][:, 0, 0, 0] == 0 for b in found]) for f in ("image", "image_b")}
    assert not torch.equal(turned["image"], turned["image_b"])
    assert all(20 < int(which.sum()) < 60 for which in turned.values())  # binomial(80, 1/2): four standard deviations
    assert numbers(found, "image") == numbers(batches(2 * EPOCH), "image")


@pytest.mark.parametrize("from_files", [False, True])
@pytest.mark.parametrize("iteration", [1, 4, 5, 7, 11])
def test_it_goes_on_from_any_iteration(iteration: int, from_files: bool) -> None:
    whole = batches(3 * EPOCH, mirror=True)
    for ours, theirs in zip(
        batches(3 * EPOCH, iteration, mirror=True, from_files=from_files), whole[iteration:], strict=True
    ):
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("world", [2, 4])
def test_the_rows_of_several_processes_are_those_of_one(world: int) -> None:
    alone = batches(2 * EPOCH, mirror=True)
    parts = [batches(2 * EPOCH, rank=rank, world=world, mirror=True) for rank in range(world)]
    for whole, *shares in zip(alone, *parts, strict=True):
        assert len(shares[0]["image_b"]) == BATCH // world
        assert all(torch.equal(torch.cat([share[name] for share in shares]), whole[name]) for name in whole)


@pytest.mark.parametrize("workers", [0, 2])
def test_loaders_agree(workers: int) -> None:
    fast = at(TwoSets(mirror=True), 0).train_dataloader()
    slow = at(TwoSets(mirror=True, from_files=True, num_workers=workers), 0).train_dataloader()
    assert isinstance(fast, TensorLoader) and isinstance(slow, FileLoader)
    for _ in range(2):  # the second pass of persistent workers too
        for ours, theirs in zip(fast, slow, strict=True):
            assert all(torch.equal(ours[name], theirs[name]) for name in (*ours, *theirs))


class Recorder(L.LightningModule):
    """Counts iterations as our modules do and keeps what it was given of each field."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.iteration, self.seen = 0, []

    def training_step(self, batch: dict[str, Tensor], index: int) -> None:
        self.seen.append({name: values.flatten().tolist() for name, values in batch.items()})
        self.iteration += 1

    def configure_optimizers(self) -> None:
        return None

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["iteration"] = self.iteration

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.iteration = checkpoint["iteration"]


def fit(module: Recorder, data: GANData, folder: Path, path: str | None = None, *callbacks: L.Callback) -> None:
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer = L.Trainer(
        max_epochs=3, accelerator="cpu", default_root_dir=str(folder), callbacks=list(callbacks), **quiet
    )
    trainer.fit(module, data, ckpt_path=path)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Return a folder of two folders of images, 43 and 13."""
    for name, count in (("a", 43), ("b", 13)):
        (tmp_path / name).mkdir()
        for number in range(count):
            pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number:02d}.png")
    return tmp_path


@dataclass(kw_only=True, eq=False, repr=False)
class TwoFolders(Folder):
    """The images of root/a as `image`, those of root/b as `image_b`."""

    name = "two_folders"

    def load(self, split: str) -> Source:
        return self._domain("a")

    def load_others(self, split: str) -> dict[str, Source]:
        return {"b": Renamed(self._domain("b"), {"image": "image_b"})}

    def _domain(self, name: str) -> Source:
        data = Folder(root=f"{self.root}/{name}", image_size=self.image_size, cache_gib=self.cache_gib)
        return data.source("train")


@pytest.mark.parametrize(("workers", "cache_gib"), [(0, 1.0), (0, 0), (2, 0)])
@pytest.mark.parametrize("killed_at", [3, 5, 8])
def test_a_resumed_run_sees_what_the_uninterrupted_one_did(
    folders: Path, workers: int, cache_gib: float, killed_at: int
) -> None:
    def data() -> TwoFolders:
        options = {"image_size": 4, "batch_size": BATCH, "mirror": True, "num_workers": workers}
        return TwoFolders(root=str(folders), cache_gib=cache_gib, **options)

    whole, killed, resumed = Recorder(), Recorder(), Recorder()
    fit(whole, data(), folders)
    assert len(whole.seen) == 3 * EPOCH and whole.seen[0].keys() == {"image", "image_b"}
    path = str(folders / "killed.ckpt")
    with pytest.raises(SystemExit):
        fit(killed, data(), folders, None, StopAt(killed_at, path))
    fit(resumed, data(), folders, path)
    assert len(killed.seen) == killed_at and killed.seen + resumed.seen == whole.seen


def test_one_source_in_memory_beside_one_in_files() -> None:
    images = numbered(43, labelled=True)
    mixed = SideBySide([images, Renamed(OnDemand(numbered(13, labelled=False)), {"image": "image_b"})])
    order = joint({"": 43, "b": 13}, BATCH, seed=0)
    assert mixed.nbytes is None
    for ours, theirs in zip(FileLoader(mixed, order), at(TwoSets(), 0).train_dataloader(), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in (*ours, *theirs))


def test_both_domains_lie_on_the_device_of_the_trainer() -> None:
    """The meta device has no values: batches that come out of it were made without reading one back to the host."""
    data = at(TwoSets(mirror=True), 0)
    data.trainer.strategy.root_device = torch.device("meta")
    batch = next(iter(data.train_dataloader()))
    assert {values.device.type for values in batch.values()} == {"meta"} and batch["image_b"].shape == (8, 1, 2, 2)


def test_what_cannot_be_put_together_is_one_sentence() -> None:
    @dataclass(kw_only=True, eq=False, repr=False)
    class Clash(TwoSets):
        def load_others(self, split: str) -> dict[str, Source]:
            return {"b": numbered(13, labelled=False)}

    with pytest.raises(UserError, match="Two fields of a batch are called 'image'; give one of them another name"):
        Clash().setup()
    with pytest.raises(UserError, match=r"43 images do not fill a batch; set data.batch_size to at most 43"):
        TwoSets(batch_size=64).setup()
    with pytest.raises(UserError, match="cannot be divided among 3"):
        at(TwoSets(), 0, world=3).setup()
