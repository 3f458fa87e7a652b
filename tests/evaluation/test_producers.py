"""Images made out of others: scored against their targets beside a trivial rival, shown beside both, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import pytest
import torch
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor, nn

from gan_lightning.callbacks import SampleGrid
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluation_callback import attach
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.protocol import describe
from gan_lightning.evaluation.sample_rows import STATE, RowMaker
from gan_lightning.evaluation.score_table import Row, Table
from gan_lightning.inference.export import export_generator
from gan_lightning.inference.load import load
from gan_lightning.inference.producers import Made, Producer, Rows, picture
from gan_lightning.metrics.base import LOCAL, SampleMetric, Setting
from gan_lightning.metrics.fid import FID
from gan_lightning.modules.gan import GAN
from gan_lightning.networks.mlp2d import MLP2dGenerator

TARGETS = TinyData(40, seed=3).images.images


class Restored(Producer):
    """Adds `gain` of what the sources lack of the targets; the rival gives the sources back."""

    count = len(TARGETS)

    def __init__(self, gain: float = 0.75, sources: tuple[int, ...] = (1, 4, 4)) -> None:
        self.gain, self.sources = gain, sources

    @property
    def fields(self) -> dict[str, tuple[int, ...]]:
        return {"images": (1, 4, 4), "targets": (1, 4, 4), "sources": self.sources}

    def __call__(self, start: int, stop: int, labels: Tensor | None = None) -> Rows:
        targets = TARGETS[start:stop]
        images = targets.float() / 127.5 - 1
        sources = images / 2
        return {"images": sources + self.gain * (images - sources), "targets": targets, "sources": sources}

    def baseline(self) -> Restored:
        return Restored(0.0)


class PSNR(SampleMetric):
    """Peak signal to noise over all pixels: 10 log10(255^2 / mean squared error)."""

    consumes: ClassVar[tuple[str, ...]] = ("images", "targets")
    names: ClassVar[tuple[str, ...]] = ("psnr",)
    protocol: ClassVar[str] = "count"
    marked: ClassVar[bool] = False
    full_state_update = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(**LOCAL)
        self.add_state("squares", torch.zeros((), dtype=torch.float64), dist_reduce_fx=None)
        self.add_state("number", torch.zeros((), dtype=torch.float64), dist_reduce_fx=None)

    def update(self, images: Tensor, targets: Tensor, real: bool) -> None:
        assert not real and images.dtype == targets.dtype == torch.uint8
        self.squares += ((images.double() - targets.double()) ** 2).sum()
        self.number += images.numel()

    def compute(self) -> Tensor:
        return 10 * (255**2 * self.number / self.squares).log10()


def psnr(gain: float) -> float:
    images = Restored(gain)(0, 40)["images"]
    error = ((images + 1) * 127.5).round().clamp(0, 255).double() - TARGETS.double()
    return float(10 * (255**2 / (error**2).mean()).log10())


@pytest.mark.parametrize("batch_size", [7, 64])
def test_pairs_are_scored_beside_their_rival(batch_size: int) -> None:
    evaluator = Evaluator({"psnr": PSNR, "fid": FID}, TinyData(), LinearExtractor(), batch_size=batch_size)
    scores = evaluator.evaluate(Restored())
    assert scores["psnr40"] == pytest.approx(psnr(0.75)) and evaluator.baseline["psnr40"] == pytest.approx(psnr(0.0))
    assert scores["psnr40"] > evaluator.baseline["psnr40"] + 6
    assert list(scores) == list(evaluator.baseline) == ["psnr40", "fid40_train[linear]"]
    assert list(evaluator.floor) == ["fid40_train[linear]"]  # real images are no pairs
    assert scores["fid40_train[linear]"] < evaluator.baseline["fid40_train[linear]"]
    assert f"psnr40 {psnr(0.75):.4g} (baseline {psnr(0.0):.4g})" in describe(scores, None, evaluator.baseline)
    assert evaluator.evaluate(Restored()) == scores


def test_pairs_alone_need_neither_real_images_nor_an_extractor() -> None:
    data = TinyData()
    data.closed = True
    evaluator = Evaluator({"psnr": PSNR}, data)
    assert evaluator.evaluate(Restored()) == {"psnr40": pytest.approx(psnr(0.75))}
    assert evaluator.protocol == "40 raw samples (seed 0) vs their targets" and evaluator.floor == {}


def test_samples_without_targets_are_refused_before_training() -> None:
    evaluator = Evaluator({"psnr": PSNR}, TinyData())
    with pytest.raises(UserError, match=r"metrics=\[psnr\] needs samples with targets, and these have none"):
        evaluator.check()
    with pytest.raises(UserError, match="needs samples with targets"):
        evaluator.evaluate(lambda start, stop: TARGETS[start:stop])
    evaluator.attach(Restored())
    evaluator.check()


def test_no_more_samples_are_asked_for_than_there_are() -> None:
    evaluator = Evaluator({"psnr": PSNR}, TinyData(), num_fakes=41)
    with pytest.raises(UserError, match="num_fakes=41 is more than the 40 samples"):
        evaluator.attach(Restored())
    assert list(Evaluator({"psnr": PSNR}, TinyData(), num_fakes=12).evaluate(Restored())) == ["psnr12"]


def test_a_process_without_rows_knows_their_form() -> None:
    """Rows are gathered by padding what a process has: none have the type and shape of some."""
    producer = Restored(sources=(1, 4, 4))
    maker = RowMaker(["images", "targets", "sources"], TinyData(), None, "cpu", producer.fields)
    made, empty = maker(**producer(0, 3)), maker.empty
    assert made.keys() == empty.keys() == {"images", "targets", "sources", STATE}
    assert all(made[kind].dtype == empty[kind].dtype and made[kind].shape[1:] == empty[kind].shape[1:] for kind in made)
    assert torch.equal(made["targets"], TARGETS[:3])


def test_a_table_shows_the_rival_below_the_real_images() -> None:
    table = Table([Row("a", {"psnr40": 30.0, "fid": 2.0})], {"fid": 1.0}, [], {"psnr40": 20.0, "fid": 9.0})
    assert table.cells()[2:] == [["real images", "", "", "1"], ["baseline", "", "20", "9"]]


class Small(Restored):
    """Sources of half the size, in colour."""

    def __call__(self, start: int, stop: int, labels: Tensor | None = None) -> Rows:
        made = super().__call__(start, stop)
        return made | {"sources": made["sources"][:, :, ::2, ::2].expand(-1, 3, -1, -1)}


def test_sources_images_and_targets_stand_side_by_side() -> None:
    shown = picture(Small(sources=(3, 2, 2)), rows=2, columns=7, points=0)
    assert shown.columns == 6 and shown.images.shape == (12, 1, 4, 4)  # two groups of three fit into seven columns
    made = Small()(0, 4)
    torch.testing.assert_close(shown.images[1::3], made["images"])
    torch.testing.assert_close(shown.images[2::3], TARGETS[:4].float() / 127.5 - 1)
    torch.testing.assert_close(
        shown.images[0::3], made["sources"][:, :1].repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    assert len(picture(Restored(), rows=90, columns=3, points=0).images) == 3 * 40  # no more than there are


class TwoWays(GAN):
    """A game of two producers."""

    def producers(self, seed: int = 0, raw: bool = False) -> dict[str, Producer]:
        return {"there": Restored(0.5), "back": Restored(0.0)}


def test_a_game_says_which_producers_it_has() -> None:
    game = TwoWays(nn.Linear(1, 1), nn.Linear(1, 1))
    scores: dict[str | None, Any] = {}
    for name in (None, "there", "back"):
        evaluator = Evaluator({"psnr": PSNR}, TinyData())
        attach(evaluator, game, name)
        scores[name] = evaluator.evaluate(evaluator.producer)
    assert scores["back"] == {"psnr40": pytest.approx(psnr(0.0))}
    assert scores[None] == scores["there"] == {"psnr40": pytest.approx(psnr(0.5))}
    with pytest.raises(UserError, match="no producer called up: choose one of there, back"):
        attach(Evaluator({"psnr": PSNR}, TinyData()), game, "up")


def test_each_producer_of_a_game_has_its_picture() -> None:
    game, grid = TwoWays(nn.Linear(1, 1), nn.Linear(1, 1)), SampleGrid(rows=2, columns=3)
    drawn = grid.pictures(L.Trainer(logger=False, accelerator="cpu"), game)
    assert list(drawn) == ["samples", "back"]  # the first one is what a run shows of itself
    assert drawn["samples"].tobytes() != drawn["back"].tobytes()


def test_a_module_and_its_file_have_the_same_producer(tmp_path: Path) -> None:
    network = MLP2dGenerator(width=8)
    game = GAN(network, nn.Linear(2, 1))
    loaded = load(export_generator(network, tmp_path, game.network_description()))
    mine, theirs = game.producers(seed=5)["samples"], loaded.producer(seed=5)
    assert type(mine) is type(theirs) and mine.fields == theirs.fields == {"images": (2,)}
    assert torch.equal(mine(3, 90)["images"], theirs(3, 90)["images"])
    assert torch.equal(mine(3, 90)["images"], loaded.generate(3, 90, seed=5))
    assert torch.equal(mine(3, 90)["images"], game.sample(3, 90, seed=5)) and mine.baseline() is None
    assert mine.averaged and not game.producers(raw=True)["samples"].averaged


def test_a_function_is_a_producer_of_images() -> None:
    made = Made(lambda start, stop: TARGETS[start:stop], (1, 4, 4))
    assert made.fields == {"images": (1, 4, 4)} and torch.equal(made(2, 5)["images"], TARGETS[2:5])
