"""What is typed beside resume= changes the run's own configuration; its paths hold from any folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from commands import run_here
from omegaconf import OmegaConf
from test_changed_data import TINY, pictures

from gan_lightning.cli.train import main, train
from gan_lightning.errors import UserError


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with pictures and a run of one epoch, which was started there with relative paths."""
    folder = tmp_path_factory.mktemp("first")
    pictures(folder / "pictures", range(16))
    own = ["regularizer=[r1]", "regularizer.r1.weight=3", "data.root=pictures", "optim.lr=1e-3", "max_epochs=1"]
    with pytest.MonkeyPatch.context() as patch:
        run_here(main, ["train.py", *TINY, *own, "run_dir=run"], folder, patch)
    return folder


@pytest.fixture
def run(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(first / "run", tmp_path / "run"))


def config(run: Path) -> dict:
    return OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))


def test_keys_of_the_runs_own_options_are_taken(run: Path, capsys) -> None:
    words = ["data.on_error=skip", "data.crop=6", "regularizer.r1.weight=2", "data=folder", "loss=nonsaturating"]
    assert train([f"resume={run}", "max_epochs=2", *words])["images_seen"] == 32
    found = config(run)
    assert (found["data"]["on_error"], found["data"]["crop"], found["data"]["image_size"]) == ("skip", 6, 8)
    assert (found["regularizer"]["r1"]["weight"], found["optim"]["generator"]["lr"]) == (2, 1e-3)
    assert "resume: data.crop = 6" in capsys.readouterr().out


def test_the_command_line_does_the_same(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_here(main, ["train.py", "resume=run", "data.crop=6", "max_epochs=2"], tmp_path, monkeypatch)
    assert config(run)["data"]["crop"] == 6 and config(run)["max_epochs"] == 2


def test_another_option_of_a_group_is_taken_completely(run: Path) -> None:
    train([f"resume={run}", "max_epochs=2", "optim=adam_b0_0.9", "regularizer=[r1,r2]"])
    found = config(run)
    assert list(found["regularizer"]) == ["r1", "r2"] and found["regularizer"]["r1"]["weight"] == 10
    assert found["optim"]["generator"]["lr"] == 2e-4 and found["optim"]["generator"]["betas"] == [0, 0.9]
    train([f"resume={run}", "max_epochs=3", "regularizer.r1.weight=2"])
    train([f"resume={run}", "max_epochs=4", "regularizer=[r1,r2]", "optim=adam_b0_0.9"])  # its own by now
    assert config(run)["regularizer"]["r1"]["weight"] == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data.roott=x", "no option data.roott in the configuration of the run: the nearest are data.root, "),
        ("loss=hingee", "There is no loss=hingee: choose one of hinge, "),
        ("seed=1,2", "seed=1,2 names several values: a run goes on with one of them."),
    ],
)
def test_mistakes_beside_resume_are_one_sentence(run: Path, word: str, said: str) -> None:
    before = config(run)
    with pytest.raises(UserError) as caught:
        train([f"resume={run}", word])
    assert said in str(caught.value) and config(run) == before


def test_a_run_goes_on_from_another_folder(first: Path, run: Path, tmp_path: Path, monkeypatch) -> None:
    assert config(run)["data"]["root"] == str(first / "pictures")
    monkeypatch.chdir(tmp_path)
    assert train([f"resume={run}", "max_epochs=2"])["images_seen"] == 32
    saved = run / ".hydra" / "config.yaml"
    saved.write_text(saved.read_text().replace(str(first / "pictures"), "pictures"))  # as runs were saved before
    assert train([f"resume={run}", "max_epochs=3"])["images_seen"] == 48
    with pytest.raises(UserError, match=f"data.root={tmp_path}/nowhere is not a folder"):
        train([f"resume={run}", "data.root=nowhere"])


def test_a_refused_run_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for words in (["data=folder", "data.root=nowhere"], ["data=folder", "data.root=nowhere", "run_dir=a/b"]):
        with pytest.raises(SystemExit):
            run_here(main, ["train.py", *words], tmp_path, monkeypatch)
        assert f"data.root={tmp_path}/nowhere is not a folder" in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError):
        train(["data=folder", "data.root=nowhere", f"run_dir={tmp_path}/c"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["run_dir=file/run"], ["run_dir=file"], ["-m", "run_dir=file/run", "seed=1"]])
def test_a_folder_that_cannot_be_is_one_sentence(words: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        run_here(main, ["train.py", *words], tmp_path, monkeypatch)
    (line,) = capsys.readouterr().err.splitlines()
    assert "file" in line and "cannot be written" in line and line.endswith("by run_dir=FOLDER.")


def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path: Path, monkeypatch, capsys) -> None:
    make = Path.mkdir

    def refuse(path: Path, *args: object, **options: object) -> None:
        if path.name == "run":
            raise PermissionError(13, "Permission denied", str(path))
        make(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SystemExit):
        run_here(main, ["train.py", "run_dir=run"], tmp_path, monkeypatch)
    assert (
        capsys.readouterr().err
        == "gan-train: run cannot be written (Permission denied): choose another folder by run_dir=FOLDER.\n"
    )


def test_a_closed_pipe_ends_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        monkeypatch.setattr("sys.stdout", closed)
        with pytest.raises(SystemExit) as ended:
            run_here(main, ["train.py", "--help"], tmp_path, monkeypatch)
        monkeypatch.undo()
    assert ended.value.code == 141 and capsys.readouterr().err == ""
