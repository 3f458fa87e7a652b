from __future__ import annotations

import csv
import os
import signal
import time
from pathlib import Path

import pytest

from gan_lightning.sweeps.processes import environment_of, visible_gpus
from hydra_plugins.gan_lightning_processes.launcher import config_flags


def rows(folder: Path) -> dict[str, dict[str, str]]:
    with open(folder / "sweep" / "results.csv") as file:
        return {row["run"]: row for row in csv.DictReader(file)}


def test_each_job_is_a_single_run_with_nothing_of_another_runs_processes(stub, seen, tmp_path):
    """Quoted values, folders with odd names, --config-dir and the user's HYDRA_FULL_ERROR reach the jobs."""
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    (tmp_path / "mine" / "experiment" / "seven.yaml").write_text("# @package _global_\nseed: 7\n")
    ended = stub(
        *("-m", "--config-dir", "mine", "experiment=seven", "lr=0.1,0.2", "betas=[0.0,0.9]"),
        "hydra.sweep.subdir=${hydra.job.num}",
        "+text='a, b'",
        "+copy='${seed}'",
        **{"LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "1", "PL_GLOBAL_SEED": "3", "HYDRA_FULL_ERROR": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    assert set(rows(tmp_path)) == {"0", "1"}
    for number in range(2):
        job = seen(number)
        assert (job["mode"], job["number"]) == ("RUN", number)
        assert job["config"]["lr"] == [0.1, 0.2][number] and job["config"]["seed"] == 7
        assert job["config"]["betas"] == [0.0, 0.9] and job["config"]["text"] == "a, b"
        assert job["config"]["copy"] == 7
        assert job["config"]["run_dir"] == str(tmp_path / "sweep" / str(number))
        assert not {"LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "PL_GLOBAL_SEED"} & job["environment"].keys()
        assert job["environment"]["HYDRA_FULL_ERROR"] == "1"
    assert seen(0)["pid"] != seen(1)["pid"]


def test_a_failed_job_is_in_the_table_and_loses_nobody(stub, seen, tmp_path):
    ended = stub("-m", "behaviour=fail,die,good,good", "hydra.launcher.n_jobs=3", "hydra.launcher.gpus=[4,5,6]")
    assert ended.returncode != 0
    table = rows(tmp_path)
    assert [table[name]["status"] for name in "0123"] == ["failed", "failed", "done", "done"]
    assert table["0"]["error"] == "The stub was told to fail."
    assert "SIGKILL" in table["1"]["error"] and "last words" in table["1"]["error"]
    assert "2 of 4 jobs failed" in ended.stderr
    assert (
        "The stub was told to fail." in ended.stdout and "told to fail" in (tmp_path / "sweep/results.md").read_text()
    )
    assert len({seen(number)["environment"]["CUDA_VISIBLE_DEVICES"] for number in range(3)}) == 3


def test_interrupting_ends_the_children_and_keeps_what_is_done(start_stub, seen, tmp_path):
    sweep = start_stub("-m", "behaviour=good,wait,good")
    waiting = tmp_path / "sweep" / "1" / "waiting"
    deadline = time.monotonic() + 30
    while not waiting.exists():
        assert time.monotonic() < deadline and sweep.poll() is None
        time.sleep(0.05)
    sweep.send_signal(signal.SIGINT)
    out, _ = sweep.communicate(timeout=20)
    assert sweep.returncode == 130
    table = rows(tmp_path)
    assert table["0"]["status"] == "done" and table["1"]["error"] == "Interrupted." and "2" not in table
    assert "Interrupted." in out
    with pytest.raises(ProcessLookupError):
        os.kill(seen(1)["pid"], 0)


def test_the_same_sweep_again_does_what_is_missing_and_another_is_refused(stub, seen, tmp_path):
    stub("-m", "seed=1,2")
    before = [seen(number)["pid"] for number in range(2)]
    (tmp_path / "sweep" / "1" / "result.json").unlink()
    ended = stub("-m", "seed=1,2")
    assert ended.returncode == 0 and "job 0: done before" in ended.stdout, ended.stderr
    assert seen(0)["pid"] == before[0] and seen(1)["pid"] != before[1] and set(rows(tmp_path)) == {"0", "1"}
    ended = stub("-m", "seed=3,4")
    assert ended.returncode != 0 and "another sweep" in ended.stderr and seen(0)["config"]["seed"] == 1


@pytest.mark.parametrize(("parallel", "gpus"), [(2, "0123"), (3, "0123"), (4, "0123"), (3, "01")])
def test_gpus_are_shared_out(parallel, gpus):
    shares = [environment_of(slot, {}, parallel, gpus)["CUDA_VISIBLE_DEVICES"].split(",") for slot in range(parallel)]
    if parallel <= len(gpus):
        assert sorted(gpu for share in shares for gpu in share) == list(gpus)  # every GPU works, for one job
    else:
        assert {gpu for share in shares for gpu in share} == set(gpus) and all(len(share) == 1 for share in shares)


def test_a_users_choice_of_gpus_is_kept():
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "2, 5"}) == ["2", "5"]
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == []
    assert environment_of(0, {"CUDA_VISIBLE_DEVICES": "5"}, 1, [])["CUDA_VISIBLE_DEVICES"] == "5"


def test_flags_that_say_where_the_configuration_is_are_found():
    line = ["-m", "loss=hinge", "-cd", "here", "--config-name=mine", "seed=1,2", "--multirun"]
    assert config_flags(line) == ["--config-dir=here", "--config-name=mine"]
    assert config_flags(["-m", "seed=1"]) == []
