"""What is shown: curves, speed, and the terminal."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
from PIL import Image
from tiny_run import BATCH, Fit, Score, TinyData, gan

from gan_lightning.callbacks import Callback, Curves, Limit, Progress, Throughput, call, curves, throughput
from gan_lightning.callbacks.progress import clock, describe, run_fraction, time_left
from gan_lightning.loggers.csv import read_rows
from gan_lightning.modules.gan import GAN
from gan_lightning.scores import LOWER_IS_BETTER

SCORES = [
    {"fid9_train[classifier]": 4.0, "is9[classifier]": 1.5, "is9_std[classifier]": 0.1},
    {"fid9_train[classifier]": 2.5},
]


def test_curves_are_drawn_at_most_every_so_often_and_at_the_end(fit: Fit, run_folder: Path) -> None:
    drawn = []

    class Note(Callback):
        def on_scores(self, trainer: L.Trainer, module: GAN, scores: dict[str, float]) -> None:
            drawn.append((run_folder / "curves.png").exists())

    fit(Curves(every_seconds=3600), Note(), Score(*SCORES))
    assert drawn == [False, False]
    assert Image.open(run_folder / "curves.png").width > 800
    (run_folder / "curves.png").unlink()
    fit(Curves(every_seconds=0), Note(), Score(*SCORES))
    assert drawn[2:] == [True, True]


def test_panels_hold_each_curve_once() -> None:
    names = [
        "epoch",
        "loss/discriminator",
        "loss/r1",
        "D(x)",
        "lr/generator",
        "fid9_train[a]",
        "fid9_test[b]",
        "is9_std[a]",
    ]
    panels = curves._panels({name: [(0.0, 1.0)] for name in names})
    assert panels == {
        "Loss": ["loss/discriminator", "loss/r1"],
        "Discriminator's answer": ["D(x)"],
        "FID, lower is better": ["fid9_train[a]", "fid9_test[b]"],
    }


def test_every_kind_of_score_has_a_panel_and_those_of_one_measure_share_it() -> None:
    panels = curves._panels({name: [(0.0, 1.0)] for name in LOWER_IS_BETTER})
    assert sum(map(len, panels.values())) == len(LOWER_IS_BETTER)
    assert panels["Discriminator's accuracy"] == ["d_accuracy_fake", "d_accuracy_test", "d_accuracy_train"]
    assert panels["coverage, higher is better"] == ["coverage"]


def test_throughput_counts_waiting_for_data_but_no_evaluation(
    fit: Fit, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = {"s": 0.0}
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now["s"])

    class Work(Callback):
        def on_train_batch_start(self, *_: object) -> None:
            now["s"] += 0.5

        def on_train_epoch_end(self, *_: object) -> None:
            now["s"] += 100.0

        def on_train_batch_end(self, trainer: L.Trainer, module: GAN, *_: object) -> None:
            if module.iteration in (2, 6):  # an evaluation in mid-epoch
                now["s"] += 100.0
                self.on_scores(trainer, module, {})
                rate.on_scores(trainer, module, {})

    class SlowData(TinyData):
        def __iter__(self) -> object:
            for batch in super().__iter__():
                now["s"] += 0.5
                yield batch

    rate = Throughput()
    fit(rate, Work(), epochs=3, datamodule=SlowData())
    rates = [
        float(row["images_per_second"])
        for row in read_rows(run_folder / "metrics.csv")[1]
        if row.get("images_per_second")
    ]
    assert len(rates) >= 4
    assert all(BATCH / 1.0 <= rate <= BATCH / 0.5 for rate in rates)


def test_the_whole_run_counts_for_the_time_left() -> None:
    assert time_left(elapsed=60.0, before=0.0, now=0.25) == pytest.approx(180.0)
    assert time_left(elapsed=60.0, before=0.5, now=0.75) == pytest.approx(60.0)
    assert time_left(elapsed=60.0, before=0.5, now=0.5) is None
    assert clock(3725.9) == "1:02:05"


@pytest.mark.parametrize(
    ("max_epochs", "max_kimg", "fraction"), [(10, None, 0.2), (10, 0.64, 0.25), (-1, 1.6, 0.1), (-1, None, None)]
)
def test_the_nearest_end_of_the_run_counts(max_epochs: int, max_kimg: float | None, fraction: float | None) -> None:
    trainer = SimpleNamespace(max_epochs=max_epochs, num_training_batches=10, callbacks=[Limit(max_kimg)])
    assert run_fraction(trainer, SimpleNamespace(epoch=(2, 0), images_seen=160)) == fraction


def test_rows_with_scores_tell_their_protocol_which_is_no_curve(fit: Fit, run_folder: Path) -> None:
    class Protocol(Callback):
        def on_train_start(self, trainer: L.Trainer, module: GAN) -> None:
            module.protocol = "9 samples, of many"

    fit(Protocol(), Score(*SCORES), Curves())
    _, rows = read_rows(run_folder / "metrics.csv")
    told = [(bool(row["fid9_train[classifier]"]), row["protocol"]) for row in rows]
    assert set(told) == {(True, "9 samples, of many"), (False, "")}
    assert (run_folder / "curves.png").exists()


def test_figures_name_the_protocol_and_leave_out_the_rest() -> None:
    latest = {"loss/generator": 0.8, "loss/discriminator": 1.25, "lr/generator": 2e-4, "images_per_second": 1234.5}
    text = describe(latest, {"fid9_train[classifier]": 12.34, "is9_std[classifier]": 0.1, "high_quality": 0.5})
    assert text == "loss D 1.250 · loss G 0.800 · 1,234 images/s · FID9_train[classifier] 12.34 · high quality 0.5"


def test_without_a_terminal_there_is_a_line_per_epoch(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    fit(Throughput(), Score(*SCORES), Progress())
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert [line.split(" · ")[:2] for line in lines] == [["Epoch 1/2", "0.0/0.1 kimg"], ["Epoch 2/2", "0.1/0.1 kimg"]]
    for part in (
        "loss D ",
        "loss G ",
        "D(x) ",
        "D(G(z)) ",
        "images/s",
        "FID9_train[classifier] 2.5",
        "elapsed, 0:00:00 left",
    ):
        assert part in lines[1]


def test_a_line_without_figures_has_no_gap(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    fit(Progress(), module=gan(log_every=999), epochs=1)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch"))
    assert line.count(" · ") == 2 and "elapsed" in line


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_a_bar_with_all_figures(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    fit(Throughput(), Score(*SCORES), Progress())
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)
    for part in (
        "Epoch 2/2",
        "100%",
        "loss D",
        "loss G",
        "D(x)",
        "D(G(z))",
        "kimg",
        "FID9_train[classifier] 2.5",
        "left",
    ):
        assert part in text
    assert "v_num" not in text and "it/s" not in text


def test_a_terminal_shows_how_far_an_evaluation_is(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Evaluation(Callback):
        def on_train_epoch_end(self, trainer: L.Trainer, module: GAN) -> None:
            bar._drawn = 0.0
            call(trainer, "on_evaluating", "samples", 1024, 5000)
            time.sleep(0.4)  # the thread that draws does so four times a second

    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    bar = Progress()
    fit(Evaluation(), bar)
    shown = capsys.readouterr().out
    assert "evaluating: 1,024 of 5,000 samples" in shown
    assert shown.rindex("loss D") > shown.rindex("evaluating")
