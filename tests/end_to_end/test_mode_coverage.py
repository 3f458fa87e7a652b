"""Learning itself: small networks find the modes of a mixture, and the recorded study can be started again."""

import importlib.util
from pathlib import Path

import pytest

from gan_lightning.cli.train import train

STUDY = Path(__file__).parents[2] / "experiments" / "mode_coverage" / "run.py"
SHORT = [
    "data=ring",
    "data.batch_size=128",
    "max_kimg=128",
    "evaluation.every_epochs=null",
    "evaluation.every_kimg=128",
]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["model=mlp2d", "experiment=mode_coverage"])
def test_the_ring_is_covered_after_a_thousand_iterations(recipe, tmp_path):
    words = [recipe, *SHORT, "evaluation.num_fakes=2500", "trainer=cpu", "callbacks=[limit]", "logger=[]"]
    scores = train([*words, f"run_dir={tmp_path / 'run'}"])["scores"]
    assert scores["modes"] == 8
    assert scores["high_quality"] > 0.5  # a cloud around all of them has less than 1%
    assert scores["reverse_kl"] < 0.05  # seven equal modes of eight have 0.13


@pytest.fixture
def study():
    spec = importlib.util.spec_from_file_location("mode_coverage", STUDY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_of_the_study_that_ended_counts_and_one_broken_off_starts_again(study, tmp_path):
    jobs = [(method, "ring", 1) for method in study.METHODS]
    broken = study.place(jobs[0], tmp_path)
    broken.mkdir()
    (broken / "metrics.csv").write_text("images_seen\n256\n")
    assert study.finished(jobs[0], tmp_path, 0.512) is None
    for job in jobs:
        study.work(job, tmp_path, 0.512)
    rows = [study.finished(job, tmp_path, 0.512) for job in jobs]
    assert [row["images"] for row in rows] == [512] * len(jobs)
    assert all(study.finished(job, tmp_path, 1.024) is None for job in jobs)  # another budget is another run

    study.report(rows, jobs, tmp_path, tmp_path)
    assert (tmp_path / "results.csv").read_text().count("\n") == 1 + len(jobs)
    assert "0 of 1" in (tmp_path / "results.md").read_text()
    assert (tmp_path / "figure.png").stat().st_size > 10_000
