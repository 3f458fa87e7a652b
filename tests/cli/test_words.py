"""Words before Hydra reads them: paths are what they are, flags may stand anywhere."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from gan_lightning.cli.app import _plain_warnings
from gan_lightning.cli.sentences import sentence
from gan_lightning.cli.train import train
from gan_lightning.cli.words import literal, pasteable, prepared, unquoted
from gan_lightning.errors import UserError


def meant(word: str) -> Any:
    """Return the value that Hydra reads."""
    found = OverridesParser.create().parse_override(word).value()
    texts = [
        one.text if isinstance(one, QuotedString) else one for one in (found if isinstance(found, list) else [found])
    ]
    return texts if isinstance(found, list) else texts[0]


@pytest.mark.parametrize(
    "key", ["ckpt", "resume", "run_dir", "real", "out", "data.root", "extractor.weights", "+data.root"]
)
@pytest.mark.parametrize(
    "path",
    [
        "/数据/图片",
        "epoch=1-step=5.ckpt",
        "läufe/été",
        "a[1]/x",
        "my files/x",
        "it's",
        "(1)",
        "a,b",
        "~/x",
        "{x}",
        "a#b",
    ],
)
def test_a_path_is_what_it_is(key: str, path: str) -> None:
    word = literal(f"{key}={path}")
    assert meant(word) == path and literal(word) == word
    assert unquoted(path) == unquoted(word.partition("=")[2]) == path


@pytest.mark.parametrize(
    "word",
    [
        *("ckpt=[A,B]", "data.root='x y'", 'data.root="x y"', "data.root=null", "data.root=${oc.env:DATA,data}"),
        *(
            "ckpt=runs/2026-01-31/12",
            r"ckpt=epoch\=1.ckpt",
            r"data.root=C:\pictures",
            "loss=a,b",
            "data.labels=folders",
        ),
    ],
)
def test_what_hydra_reads_already_stays(word: str) -> None:
    assert literal(word) == word


def test_lists_and_sweeps_of_paths_stay_lists_and_sweeps() -> None:
    assert meant(literal("ckpt=[epoch=1.ckpt, 'b c']")) == ["epoch=1.ckpt", "b c"]
    assert literal("data.root=a,b", several=True) == "data.root=a,b"
    assert literal("data.root=ä,b", several=True) == "data.root='ä','b'"


def test_flags_may_stand_anywhere() -> None:
    assert prepared(["seed=1", "-m", "loss=a,b"]) == ["seed=1", "loss=a,b", "-m"]
    words = ["-cd", "own", "a=1", "--info", "defaults", "b=2", "--cfg=job"]
    assert prepared(words) == ["a=1", "b=2", "-cd", "own", "--info", "defaults", "--cfg=job"]


@pytest.mark.parametrize("word", ["logger.wandb.notes=a (b", "logger.wandb.notes=$5 ä", "model=däis"])
def test_a_word_that_cannot_be_read_is_answered_with_one_to_paste(word: str) -> None:
    with pytest.raises(UserError) as caught:
        train([word])
    said = str(caught.value)
    assert said.startswith(f"{word} cannot be read") and said.endswith(f"in quotes: {pasteable(word)}.")
    (typed,) = shlex.split(pasteable(word))  # as a shell does, which would put nothing for $5
    assert meant(typed) == word.partition("=")[2]
    assert pasteable("x=$5 ä")[0] == "'" and pasteable("regularizer=[r1") == ""


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["data=folder", "data.rooot=x"], "data.root, "),
        (["model=stylegan2", "model.generator.style_dimm=8"], "model.generator.style_dim, "),
        (["regularizer=[r1]", "regularizer.r1.wieght=3"], "regularizer.r1.weight, "),
        (["data=nothing", "modle=x"], "data=nothing"),
    ],
)
def test_the_nearest_names_are_those_of_the_chosen_options(words: list[str], near: str) -> None:
    with pytest.raises(UserError) as caught:
        train(words)
    assert near in str(caught.value)


def test_other_errors_stay_as_they_are() -> None:
    assert sentence(ValueError("two\nlines"), "train", ["a=b"]) == "two lines"


def test_a_path_goes_through_a_whole_run(tmp_path: Path) -> None:
    folder = tmp_path / "läufe" / "a=1, [b]"
    words = ["metrics=[]", "logger=[csv]", "callbacks=[checkpoint]", "data.image_size=8", "max_epochs=1"]
    small = ["model.generator.width=4", "model.discriminator.backbone.width=4", "trainer.limit_train_batches=1"]
    train([*words, *small, "trainer.accelerator=cpu", f"run_dir={folder}"])
    assert train([f"resume={folder}", "max_epochs=2"])["run_dir"] == str(folder)


def test_our_warnings_are_shown_without_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    before = warnings.showwarning
    with pytest.warns(UserWarning, match="theirs"), _plain_warnings():
        warnings.warn_explicit("ours is one line", UserWarning, "/somewhere/gan_lightning/modules/slopes.py", 16)
        warnings.warn_explicit("theirs", UserWarning, "/somewhere/torch/nn.py", 3)
    assert capsys.readouterr().err == "warning: ours is one line\n" and warnings.showwarning is before
