"""Real sweeps of the train command, each job two processes, all of them with the same parameters."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

NOTES = '''
import json
from pathlib import Path
from lightning import Callback

class Notes(Callback):
    """Writes what this process trains with."""

    def on_train_start(self, trainer, module):
        group = module.players["generator"].optimizer.param_groups[0]
        seen = {"lr": group["lr"], "betas": group["betas"], "d_steps": module.d_steps, "seed": module.config["seed"]}
        seen |= {"folder": module.config["run_dir"], "world": trainer.world_size}
        Path(trainer.default_root_dir, f"process{trainer.global_rank}.json").write_text(json.dumps(seen))
'''
TINY = (
    *("data=ring", "data.num_points=1000", "trainer.accelerator=cpu", "trainer.devices=2"),
    *("trainer.limit_train_batches=2", "max_epochs=1", "evaluation.num_fakes=500", "callbacks=[sample_grid]"),
    *("logger=[]", "+callbacks.notes._target_=notes.Notes", "run_dir=sweep"),
)


def processes(folder: Path) -> list[dict]:
    """Return what each process of a job trained with."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("process*.json"))]


@pytest.mark.slow
def test_a_sweep_of_two_process_jobs_one_of_which_fails(train_command, tmp_path):
    (tmp_path / "notes.py").write_text(NOTES)
    ended = train_command(tmp_path, "-m", *TINY, "seed=5", "data.batch_size=64,2000")
    with open(tmp_path / "sweep" / "results.csv") as file:
        good, bad = csv.DictReader(file)
    assert ended.returncode == 1 and "1 of 2 jobs failed" in ended.stderr, ended.stderr
    assert (good["status"], bad["status"]) == ("done", "failed") and 0 <= float(good["high_quality"]) <= 1
    assert "do not fill a batch" in bad["error"] and bad["error"] in ended.stdout and "Traceback" not in ended.stderr
    first, second = processes(tmp_path / "sweep" / "0")
    assert first == second and first["seed"] == 5 and first["folder"] == str(tmp_path / "sweep" / "0")
    assert (tmp_path / "sweep" / "results.png").is_file() and processes(tmp_path / "sweep" / "1") == []


@pytest.mark.slow
def test_a_search_over_two_process_jobs(train_command, tmp_path):
    (tmp_path / "notes.py").write_text(NOTES)
    ended = train_command(tmp_path, "-m", "sweep=optuna", *TINY, "data.batch_size=64", "hydra.sweeper.n_trials=2")
    assert ended.returncode == 0, ended.stderr
    jobs = [processes(tmp_path / "sweep" / str(number)) for number in range(2)]
    for number, (first, second) in enumerate(jobs):
        assert first == second and first["folder"] == str(tmp_path / "sweep" / str(number)) and first["world"] == 2
    assert jobs[0][0]["lr"] != jobs[1][0]["lr"]
    best = OmegaConf.load(tmp_path / "sweep" / "best.yaml")
    assert best.metric == "high_quality" and f"optim.lr={jobs[best.trial][0]['lr']}" in best.overrides
    assert not [word for word in best.overrides if word.startswith("run_dir=")]  # that is the search's, not a trial's
