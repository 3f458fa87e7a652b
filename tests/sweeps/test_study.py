from __future__ import annotations

import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from gan_lightning.errors import UserError
from gan_lightning.sweeps.result import Result
from gan_lightning.sweeps.study import Search, need_optuna, objective, space_of

PARSER = OverridesParser.create()


def space(*words):
    return space_of(PARSER.parse_overrides(list(words)))[0]


def search(folder, storage=None, metric="fid", seed=0):
    return Search(folder, metric, seed, startup=3, storage=storage, parallel=1)


def run(study, count, over):
    """Run trials whose score is best at lr = 1e-4; return what was tried."""
    tried = []
    for _ in range(count):
        trial, words = study.ask(over)
        tried.append(words)
        lr = float(words[0].partition("=")[2])
        study.tell(trial, Result("done", words, {}, {"fid": abs(lr - 1e-4), "is": 1.0}))
    return tried


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("lr=tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
        ("lr=interval(0,1)", FloatDistribution(0.0, 1.0)),
        ("d_steps=range(1,5)", IntDistribution(1, 4)),
        ("d_steps=range(1,8,3)", IntDistribution(1, 7, step=3)),
        ("width=tag(log,int(interval(8,64)))", IntDistribution(8, 64, log=True)),
        ("dropout=range(0.0,0.5,0.25)", FloatDistribution(0.0, 0.25, step=0.25)),
        ("loss=choice(hinge,nonsaturating)", CategoricalDistribution(["hinge", "nonsaturating"])),
        ("loss=hinge,nonsaturating", CategoricalDistribution(["hinge", "nonsaturating"])),
    ],
)
def test_hydras_grammar_says_what_to_try(word, distribution):
    assert space(word) == {word.partition("=")[0]: distribution}


def test_lists_survive_being_tried():
    """What is drawn from a choice of lists is an override that Hydra reads as the same list."""
    drawn = space("optim.betas=choice([0.0,0.9],[0.5,0.999])")["optim.betas"].choices
    assert [PARSER.parse_override(f"b={text}").value() for text in drawn] == [[0.0, 0.9], [0.5, 0.999]]


def test_a_plain_value_takes_a_key_out_of_the_space():
    tried, fixed = space_of(PARSER.parse_overrides(["lr=interval(0,1)", "seed=3", "lr=1e-4"]))
    assert tried == {} and sorted(fixed) == ["lr=1e-4", "seed=3"]


def test_an_impossible_space_is_told(tmp_path):
    with pytest.raises(UserError, match="lr=tag"):
        space("lr=tag(log,interval(0,1))")


def test_a_seeded_search_repeats_itself_and_finds_the_optimum(tmp_path):
    over = space("lr=tag(log,interval(1e-6,1e-1))")
    first = search(tmp_path)
    tried = run(first, 25, over)
    assert run(search(tmp_path), 25, over) == tried
    assert 3e-5 < first.study.best_params["lr"] < 3e-4
    assert run(search(tmp_path, seed=1), 1, over) != tried[:1]


def test_a_search_goes_on_where_it_was(tmp_path):
    """Trials lost in a kill count as failed; a study taken up does not draw its first trials again."""
    over = space("lr=interval(0,1)")
    before = search(tmp_path, "sqlite")
    tried = run(before, 2, over)
    before.ask(over)
    after = search(tmp_path, "sqlite")
    assert len(after) == 3 and [trial.state.name for trial in after.study.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert run(after, 1, over)[0] not in tried
    with pytest.raises(UserError, match="another score"):
        search(tmp_path, "sqlite", metric="is")


def test_another_space_than_the_studys_is_told(tmp_path):
    study = search(tmp_path)
    run(study, 1, space("lr=1e-4,1e-5"))
    with pytest.raises(UserError, match="another space"):
        study.ask(space("lr=1e-4,1e-6"))


def test_scores_are_maximised_where_more_is_better(tmp_path):
    study = search(tmp_path, metric="high_quality")
    for value in (0.2, 0.9, 0.5):
        study.tell(study.ask(space("lr=interval(0,1)"))[0], Result("done", [], {}, {"high_quality": value}))
    assert study.study.best_value == 0.9


def test_a_failed_trial_does_not_count(tmp_path):
    study, over = search(tmp_path), space("lr=interval(0,1)")
    for result in (None, Result("failed", [], {}, {"fid": 0.0}), Result("done", [], {}, {"is": 1.0})):
        study.tell(study.ask(over)[0], result)
    assert study.write_best([]) is None
    study.tell(study.ask(over)[0], Result("done", [], {}, {"fid1797_train[classifier]": 7.0}))
    said = study.write_best(["max_epochs=1"])
    best = OmegaConf.load(tmp_path / "best.yaml")
    assert said is not None and (best.trial, best.value, best.overrides[0]) == (3, 7.0, "max_epochs=1")


def test_what_to_search_by():
    assert objective(None, ["is", "fid"]) == "fid" and objective(None, ["modes"]) == "high_quality"
    assert objective(None, ["swd"]) == "swd" and objective("fid10k_test", ["fid"]) == "fid10k_test"
    with pytest.raises(UserError, match="measures none"):
        objective(None, [])
    with pytest.raises(UserError, match="'fid'"):
        objective("fidd", ["fid"])


def test_without_optuna_the_command_that_installs_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'gan-lightning\[optuna\]'"):
        need_optuna()


def test_a_study_of_processes_survives_failures_and_can_be_taken_up(stub, seen, tmp_path):
    line = [
        *("-m", "hydra/sweeper=study", "lr=tag(log,interval(1e-6,1e-1))", "betas=choice([0.0,0.9],[0.5,0.999])"),
        *("behaviour=choice(good,fail)", "hydra.launcher.n_jobs=2"),
    ]
    ended = stub(*line, "hydra.sweeper.n_trials=4")
    assert ended.returncode == 0, ended.stderr
    best = OmegaConf.load(tmp_path / "sweep" / "best.yaml")
    chosen = seen(best.trial)["config"]
    assert chosen["behaviour"] == "good" and f"lr={chosen['lr']}" in best.overrides
    assert chosen["betas"] in ([0.0, 0.9], [0.5, 0.999])
    assert {seen(number)["config"]["behaviour"] for number in range(4)} == {"good", "fail"}
    again = stub(*line, "hydra.sweeper.n_trials=5")
    assert "has 4 of 5 trials already" in again.stdout and not (tmp_path / "sweep" / "5").exists()
    assert "told to fail" in (tmp_path / "sweep" / "results.md").read_text()
