"""Options: each set of numbers once, named by them where a name states numbers; former names are answered."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf

from gan_lightning.cli.former_options import FORMER
from gan_lightning.cli.train import main, train
from gan_lightning.errors import UserError
from tests.cli.resolved import CONF, Numbers, flat, kept, options

SEVERAL = ("regularizer", "metrics", "callbacks", "logger")
RECIPES = ("model", "data", "experiment")  # whole configurations: compared by what resolved.json has of them
GROUPS = sorted({path.parent.name for path in CONF.glob("*/*.yaml")} - {*RECIPES})
BUILT = ("generator", "discriminator", "clip_norm")  # of optim: lr and betas beside them are what these refer to
FORMERLY = [(group, old, new) for group, names in FORMER.items() for old, new in names.items()]
STATED = re.compile(r"_(lr|g|d|b|w|std|p)(\d[\d.e-]*)(?:_(\d[\d.]*))?")
KEYS = {"w": "weight"}
TINY = [
    *("model.generator.width=4", "model.discriminator.backbone.width=4", "data.image_size=8", "data.batch_size=8"),
    *("metrics=[]", "callbacks=[nan_guard,limit,checkpoint]", "logger=[csv]", "trainer=cpu", "max_epochs=1"),
    "trainer.limit_train_batches=1",
]
ADAM = {"g": 2e-4, "d": 2e-4, "b": [0.5, 0.999]}  # where a name does not say otherwise


def numbers(group: str, option: str) -> Numbers:
    """Return what an option alone makes of its group, flat; what it takes from other groups stays a reference."""
    with hydra.initialize_config_module("gan_lightning.conf", version_base="1.3"):
        config: Any = hydra.compose(f"{group}/{option}")
    node = OmegaConf.to_container(config, resolve=group == "optim")
    if group == "optim":
        node = {name: node[group][name] for name in BUILT}
    return dict(flat(node))


def stated(option: str) -> dict[str, Any]:
    """Return the numbers that an option's name states, by the letters before them."""
    found: dict[str, Any] = {}
    for letters, number, second in STATED.findall(option):
        value = [float(number), float(second)] if second else float(number)
        found |= {"g": value, "d": value} if letters == "lr" else {letters: value}
    return found


@pytest.mark.filterwarnings("ignore:.*Defaults list is missing `_self_`")
@pytest.mark.parametrize("group", GROUPS)
def test_no_two_options_are_the_same_numbers(group: str) -> None:
    found = {path.stem: numbers(group, path.stem) for path in options(group)}
    assert [pair for pair in combinations(found, 2) if found[pair[0]] == found[pair[1]]] == []


@pytest.mark.parametrize("group", RECIPES)
def test_no_two_recipes_are_the_same_numbers(group: str) -> None:
    found = {recipe: numbers for recipe, numbers in kept().items() if recipe.startswith(f"{group}=")}
    assert found and [pair for pair in combinations(found, 2) if found[pair[0]] == found[pair[1]]] == []


@pytest.mark.parametrize("group", ["model", "experiment", "tuned"])
def test_recipes_select_options_and_set_no_keys_of_theirs(group: str) -> None:
    """Such a key would stay behind where the user chooses another option."""
    for path in options(group):
        assert not {*GROUPS} & {*map(str, OmegaConf.load(path))}, path


@pytest.mark.filterwarnings("ignore:.*Defaults list is missing `_self_`")
@pytest.mark.parametrize("option", [path.stem for path in options("optim") if path.stem.split("_")[0] == "adam"])
def test_adams_names_state_rates_and_betas(option: str) -> None:
    found = numbers("optim", option)
    assert found["generator.betas"] == found["discriminator.betas"]
    assert {**ADAM, **stated(option)} == {
        "g": found["generator.lr"],
        "d": found["discriminator.lr"],
        "b": found["generator.betas"],
    }


@pytest.mark.filterwarnings("ignore:.*Defaults list is missing `_self_`")
@pytest.mark.parametrize("group", sorted({*GROUPS} - {"optim"}))
def test_other_names_state_numbers_that_the_options_have(group: str) -> None:
    for option in (path.stem for path in options(group) if STATED.search(path.stem)):
        found = numbers(group, option)
        for letters, value in stated(option).items():
            key = KEYS.get(letters, letters)
            assert value in [there for path, there in found.items() if path.rpartition(".")[2] == key], option


def test_former_names_are_none_of_todays_and_lead_to_todays() -> None:
    for group, names in FORMER.items():
        today = {path.stem for path in options(group)}
        assert not today & {*names} and {*names.values()} <= today


def own(folder: Path, path: str, text: str) -> str:
    """Write a configuration file of a user's own; return the word that makes Hydra look for it."""
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / path).write_text(text)
    return f"hydra.searchpath=[file://{folder}]"


@pytest.mark.parametrize(("group", "old", "new"), FORMERLY)
def test_a_former_name_is_answered_with_todays(group: str, old: str, new: str) -> None:
    said = f"^{group}={old} is now called {group}={re.escape(new)}: "
    for word in [f"{group}=[drift,{old}]"] if group in SEVERAL else [f"{group}={old}"]:
        with pytest.raises(UserError, match=said):
            train([word])


FILES = {  # of a user's own: its text, and what selects it
    "experiment/own.yaml": ("# @package _global_\ndefaults:\n  - override /optim: adam_sngan", "experiment=own"),
    "model/own.yaml": ("# @package _global_\ndefaults:\n  - dcgan\n  - override /optim: adam_sngan", "model=own"),
    "optim/own.yaml": ("defaults:\n  - adam_sngan\nlr: 1.0e-4", "optim=own"),
}


@pytest.mark.parametrize("path", FILES)
def test_a_former_name_in_a_file_of_ones_own_is_answered(path: str, tmp_path: Path) -> None:
    text, word = FILES[path]
    with pytest.raises(UserError, match=r"^optim=adam_sngan is now called optim=adam_b0_0\.9: "):
        train([own(tmp_path, path, text), word])


def test_an_option_of_ones_own_may_have_a_former_name(tmp_path: Path) -> None:
    where = own(tmp_path, "optim/adam_sngan.yaml", "defaults:\n  - adam\nlr: 3.0e-4")
    assert train.compose([where, "optim=adam_sngan"]).optim.generator.lr == 3e-4


SWEEPS = ["optim=adam,adam_sngan", "optim=choice(adam_sngan,adam_wgan_gp) sweep=optuna"]


@pytest.mark.parametrize("line", SWEEPS)
def test_a_former_name_in_a_sweep_is_answered_before_any_run(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", *line.split(), "metrics=[is]", f"run_dir={tmp_path}/sweep"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1 and not list(tmp_path.glob("sweep/*/"))
    assert re.search(r"optim=adam_(sngan|wgan_gp) is now called optim=adam_b0_0\.9: ", capsys.readouterr().err)


def test_a_former_name_beside_resume_is_answered_and_todays_is_taken(run_folder: Path) -> None:
    train([*TINY, "optim=adam_b0_0.9", f"run_dir={run_folder}"])
    said = r"^optim=adam_progan is now called optim=adam_lr1e-3_b0_0\.99: "
    with pytest.raises(UserError, match=said):
        train([f"resume={run_folder}", "max_epochs=2", "optim=adam_progan"])
    train([f"resume={run_folder}", "max_epochs=2", "optim=adam_lr1e-3_b0_0.99"])
    resumed = OmegaConf.load(run_folder / "config.yaml")
    assert resumed.optim.generator.lr == 1e-3 and resumed.optim.discriminator.betas == [0.0, 0.99]
