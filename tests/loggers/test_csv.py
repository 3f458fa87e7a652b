"""metrics.csv: nothing is lost, whatever happens."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_run import Fit

from gan_lightning.callbacks import Checkpoint
from gan_lightning.loggers import CSVLogger
from gan_lightning.loggers.csv import read_rows


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_new_column_keeps_all_rows(run_folder: Path) -> None:
    logger = CSVLogger(run_folder)
    logger.log_metrics({"epoch": 0, "loss/generator": 0.1 + 0.2}, step=8)
    logger.log_metrics({"epoch": 0, "loss/generator": float("nan")}, step=16)
    logger.log_metrics({"epoch": 1, "fid[a,b]": 2}, step=24)
    assert rows(run_folder) == [
        {"images_seen": "8", "epoch": "0", "loss/generator": "0.30000000000000004", "fid[a,b]": ""},
        {"images_seen": "16", "epoch": "0", "loss/generator": "nan", "fid[a,b]": ""},
        {"images_seen": "24", "epoch": "1", "loss/generator": "", "fid[a,b]": "2"},
    ]


def test_each_report_is_on_disk_when_the_call_returns(run_folder: Path) -> None:
    script = (
        "import sys, os; from gan_lightning.loggers import CSVLogger; logger = CSVLogger(sys.argv[1])\n"
        "for i in range(5): logger.log_metrics({'epoch': 0, 'x': i}, step=i)\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, run_folder], env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert [row["x"] for row in rows(run_folder)] == ["0", "1", "2", "3", "4"]


def test_half_a_line_is_left_out_and_the_next_process_goes_on(run_folder: Path) -> None:
    CSVLogger(run_folder).log_metrics({"epoch": 0, "x": 1.5}, step=8)
    with (run_folder / "metrics.csv").open("a") as file:
        file.write("16,0,2.")
    assert len(read_rows(run_folder / "metrics.csv")[1]) == 1
    CSVLogger(run_folder).log_metrics({"epoch": 0, "x": 3.5}, step=24)
    assert [(row["images_seen"], row["x"]) for row in rows(run_folder)] == [("8", "1.5"), ("24", "3.5")]


def test_a_rewrite_that_breaks_off_leaves_the_old_file(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = CSVLogger(run_folder)
    logger.log_metrics({"epoch": 0, "x": 1.5}, step=8)
    before = (run_folder / "metrics.csv").read_bytes()

    def breaks_off(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", breaks_off)
    with pytest.raises(OSError, match="No space left"):
        logger.log_metrics({"epoch": 0, "y": 1.0}, step=16)
    assert (run_folder / "metrics.csv").read_bytes() == before
    assert [path.name for path in run_folder.iterdir()] == ["metrics.csv"]


def test_resume_keeps_the_rows_up_to_its_checkpoint_and_drops_the_rest(fit: Fit, run_folder: Path) -> None:
    checkpoint = Checkpoint()
    trainer, _ = fit(checkpoint, epochs=2)
    before = rows(run_folder)
    CSVLogger(run_folder).log_metrics({"epoch": 2, "loss/generator": 9.0, "lost": 1.0}, step=65)
    fit(Checkpoint(), epochs=3, resume=checkpoint.last_path(trainer))
    after = rows(run_folder)
    assert [{name: row[name] for name in before[0]} for row in after[: len(before)]] == before
    assert [int(row["images_seen"]) for row in after] == [16, 32, 48, 64, 80, 96]


def test_evaluating_an_old_checkpoint_leaves_the_history_alone(run_folder: Path) -> None:
    logger = CSVLogger(run_folder)
    logger.log_metrics({"epoch": 0, "x": 1.5}, step=800)
    trainer = SimpleNamespace(state=SimpleNamespace(fn="validate"), is_global_zero=True)
    logger.log_graph(SimpleNamespace(_trainer=trainer, images_seen=8))
    assert len(rows(run_folder)) == 1
    trainer.state.fn = "fit"
    logger.log_graph(SimpleNamespace(_trainer=trainer, images_seen=8))
    assert rows(run_folder) == []


def test_pandas_reads_numbers(run_folder: Path) -> None:
    pandas = pytest.importorskip("pandas")
    logger = CSVLogger(run_folder)
    logger.log_metrics({"epoch": 0, "x": 1.5}, step=8)
    logger.log_metrics({"epoch": 0, "y": 2.5}, step=16)
    table = pandas.read_csv(run_folder / "metrics.csv", index_col="images_seen")
    assert table.x[8] == 1.5 and table.y[16] == 2.5 and table.y.isna()[8]
