"""`python evaluate.py` of several checkpoints: which ones a path means, one table, one pass of the real images."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gan_lightning import load
from gan_lightning.cli.evaluate import evaluate
from gan_lightning.data import Digits
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.score_table import Row, Table, draw
from gan_lightning.inference import checkpoint_files
from gan_lightning.metrics.classifier import Classifier
from gan_lightning.metrics.fid import FID
from gan_lightning.networks.dcgan import DCGANGenerator

CONFIG: dict[str, Any] = {
    "data": {"_target_": "gan_lightning.data.Digits", "image_size": 8},
    "metrics": {"fid": {"_target_": "gan_lightning.metrics.fid.FID", "_partial_": True}},
    "extractor": {"_target_": "gan_lightning.metrics.classifier.Classifier", "epochs": 1},
    "evaluation": {"num_fakes": 100, "split": "train", "seed": 3, "raw": False},
}
FID_NAME = "fid100_train[classifier]"


def save(path: Path, images_seen: int, config: dict[str, Any] = CONFIG) -> Path:
    torch.manual_seed(images_seen)
    network = DCGANGenerator(8, 1, num_classes=0, latent_dim=4, width=4)
    entry = {"format": 1, "config": config, "networks": {"generator": network.arguments}, "images_seen": images_seen}
    state = {f"generator.{name}": value for name, value in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "gan_lightning": entry}, path)
    return path


def run(folder: Path, *images_seen: int, config: dict[str, Any] = CONFIG) -> Path:
    """Make a run's folder whose last checkpoint is its best one, too."""
    for number in images_seen:
        save(folder / f"checkpoints/at_{number}.ckpt", number, config)
    os.link(folder / f"checkpoints/at_{images_seen[-1]}.ckpt", folder / "checkpoints/best.ckpt")
    return folder


def score(path: Path) -> float:
    generator = load(path)
    direct = Evaluator({"fid": FID}, Digits(image_size=8), Classifier(epochs=1), num_fakes=100, seed=3)
    return direct.evaluate(lambda start, stop: generator.generate(start, stop, 3))[FID_NAME]


def names(given: Any, which: str) -> list[str]:
    return [found.name for found in checkpoint_files.find(given, which)]


def test_what_a_path_means(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    for number in (2, 10):
        run(sweep / str(number), 400, 1200)
    (sweep / "2/checkpoints/.last-half.ckpt").touch()
    one = sweep / "2"
    assert names(one, "best") == ["best.ckpt"]
    assert names(one, "all") == ["at_400.ckpt", "at_1200.ckpt", "best.ckpt"]
    assert names(sweep, "best") == ["2/best.ckpt", "10/best.ckpt"]
    assert names(sweep, "all")[:4] == [*(f"2/{name}" for name in names(one, "all")), "10/at_400.ckpt"]
    assert names([one, sweep / "10/checkpoints/at_400.ckpt"], "best") == ["2/best.ckpt", "10/at_400.ckpt"]
    exported = tmp_path / "exported" / "generator.safetensors"
    exported.parent.mkdir()
    exported.touch()
    assert names(exported.parent, "all") == names(exported.parent, "best") == ["generator.safetensors"]


def test_a_runs_checkpoints_make_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path / "run", 400, 1200)
    built: list[object] = []
    trained = Classifier.trained
    monkeypatch.setattr(Classifier, "trained", lambda self, *rest: built.append(self) or trained(self, *rest))
    result = evaluate([f"ckpt={folder}", "checkpoints=all", "device=cpu"])
    assert len(built) == 1
    expected = {name: score(folder / "checkpoints" / name) for name in ("at_400.ckpt", "at_1200.ckpt")}
    assert result["scores"] == {name: {FID_NAME: value} for name, value in expected.items()}  # best is the last
    printed = capsys.readouterr().out
    assert printed.count("Measuring 1,797 real images") == 1 and "2/3 at_1200.ckpt" not in printed.split("written")[1]
    with (folder / "evaluation/scores.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["checkpoint", "images_seen", FID_NAME]
    assert rows[1:3] == [[n, n[3:-5], str(v)] for n, v in expected.items()]
    assert rows[3] == ["real images", "", str(result["floor"][FID_NAME])]
    page = (folder / "evaluation/scores.md").read_text()
    best = f"**{min(expected.values()):.4g}**"
    assert page.count("**") == 2 and best in page and result["protocol"] in page
    assert Image.open(folder / "evaluation/scores.png").size[0] > 400


def test_runs_of_a_sweep_and_a_list_share_the_first_ones_protocol(tmp_path: Path) -> None:
    other = {**CONFIG, "metrics": {}, "evaluation": {"num_fakes": 50}, "data": {**CONFIG["data"], "batch_size": 7}}
    run(tmp_path / "sweep/0", 400), run(tmp_path / "sweep/1", 600, config=other)
    out = tmp_path / "here"
    result = evaluate([f"ckpt={tmp_path}/sweep", f"out={out}", "device=cpu"])
    assert {name: list(scores) for name, scores in result["scores"].items()} == {
        "0/best.ckpt": [FID_NAME],
        "1/best.ckpt": [FID_NAME],
    }
    assert sorted(path.name for path in out.iterdir()) == ["scores.csv", "scores.md", "scores.png"]
    again = evaluate([f"ckpt=[{tmp_path}/sweep/0,{tmp_path}/sweep/1]", f"out={out}", "device=cpu"])
    assert again["scores"] == result["scores"]


@pytest.mark.slow
def test_other_images_are_refused(tmp_path: Path) -> None:
    run(tmp_path / "sweep/0", 400)
    run(tmp_path / "sweep/1", 600, config={**CONFIG, "data": {"_target_": "gan_lightning.data.Ring"}})
    words = [f"ckpt={tmp_path}/sweep", "device=cpu"]
    with pytest.raises(UserError, match=r"1/checkpoints/best\.ckpt was trained on ring, and .* on digits: one table"):
        evaluate(words)
    # What was measured before is not lost.
    assert "0/best.ckpt" in (tmp_path / "sweep/evaluation/scores.csv").read_text()
    assert len(evaluate([*words, "data=digits", "data.image_size=8"])["scores"]) == 2


def test_an_interrupted_evaluation_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, measured = run(tmp_path / "run", 400, 800, 1200), []
    plain = Evaluator.evaluate

    def interrupted(self: Evaluator, *rest: Any) -> dict[str, float]:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(1)
        return plain(self, *rest)

    monkeypatch.setattr(Evaluator, "evaluate", interrupted)
    result = evaluate([f"ckpt={folder}", "checkpoints=all", "device=cpu"])
    assert list(result["scores"]) == ["at_400.ckpt", "at_800.ckpt"]


def test_one_checkpoint_and_two_folders_write_where_they_are_told(tmp_path: Path) -> None:
    path = save(tmp_path / "last.ckpt", 400)
    evaluate([f"ckpt={path}", "device=cpu"])
    assert sorted(item.name for item in tmp_path.iterdir()) == ["cache", "last.ckpt"]
    evaluate([f"ckpt={path}", "device=cpu", f"out={tmp_path}/out"])
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["scores.csv", "scores.md"]


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["ckpt=[]"], r"ckpt=\[\] names no checkpoint"),
        (["ckpt=HERE", "checkpoints=some"], "checkpoints=some is not known: choose best, or all"),
        (["ckpt=HERE"], "holds no generator"),
        (["ckpt=[HERE/a.ckpt,HERE/b.ckpt]"], r"There is no checkpoint at .*a\.ckpt"),
        (["ckpt=HERE/file", "out=HERE/file"], r"out=.*file cannot be written \(File exists\): choose another folder"),
        (["ckpt=HERE/file"], "cannot be read as a checkpoint"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no checkpoint")
    with pytest.raises(UserError, match=sentence):
        evaluate([word.replace("HERE", str(tmp_path)) for word in words])


def test_the_plot_has_a_line_for_each_run_and_one_for_the_floor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    plain = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *rest, **more: drawn.append(self) or plain(self, *rest, **more))
    rows = [
        Row(f"{run}/{seen}", {"fid": 9.0 - seen, "is": 2.0, "is_std": 0.1}, seen * 1000, run)
        for run in "ab"
        for seen in (2, 1)
    ]
    draw(Table([*rows, Row("exported", {"fid": 3.0})], {"fid": 1.5}), tmp_path / "scores.png")
    fid, score = drawn[0].axes
    assert [list(line.get_xdata()) for line in fid.lines[:2]] == [[1, 2], [1, 2]]
    assert list(fid.lines[0].get_ydata()) == [8, 7] and list(fid.lines[2].get_ydata()) == [1.5, 1.5]
    assert [text.get_text() for text in fid.get_legend().get_texts()] == ["a", "b", "real images"]
    assert len(score.lines) == 2 and "higher is better" in score.get_title(loc="left")
