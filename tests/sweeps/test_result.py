from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from gan_lightning.errors import UserError
from gan_lightning.sweeps.result import leaves_result, read, reason


def run(folder, task):
    return leaves_result(task)(OmegaConf.create({"run_dir": str(folder)}))


def train(config):
    return {"run_dir": config.run_dir, "images_seen": 64, "scores": {"fid": 5.0}, "best": {"fid": 4.0}}


def fail(config):
    raise UserError("No.")


def test_a_run_leaves_its_scores_and_passes_the_outcome_on(tmp_path):
    assert run(tmp_path, train)["best"] == {"fid": 4.0}
    result = read(tmp_path)
    assert result is not None and result.done and result.error is None
    assert (result.scores, result.best, result.images_seen) == ({"fid": 5.0}, {"fid": 4.0}, 64)


def test_a_failure_leaves_its_reason_and_is_raised(tmp_path):
    with pytest.raises(UserError):
        run(tmp_path, fail)
    result = read(tmp_path)
    assert result is not None and (result.status, result.error) == ("failed", "No.")


def test_a_run_that_may_not_start_leaves_the_folders_result_as_it_was(tmp_path):
    run(tmp_path, train)
    with pytest.raises(UserError):
        run(tmp_path, fail)
    assert read(tmp_path).best == {"fid": 4.0}


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    run(tmp_path, train)
    assert read(tmp_path) is None


def test_the_users_mistake_is_the_reason_even_when_it_comes_wrapped():
    try:
        try:
            raise UserError("Too small.")
        except UserError as error:
            raise RuntimeError("Error in call to target") from error
    except RuntimeError as error:
        assert reason(error) == "Too small."
    assert reason(ValueError("first line\nsecond")) == "ValueError: first line"
    assert reason(KeyboardInterrupt()) == "Interrupted."
