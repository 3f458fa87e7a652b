"""docs/scores.md is true: it names every metric and extractor, and its commands and its Python run as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from gan_lightning.cli.evaluate import evaluate
from gan_lightning.cli.train import train
from gan_lightning.metrics import inception
from gan_lightning.scores import parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/scores.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
TINY = ["data.image_size=8", "model.generator.width=4", "model.discriminator.backbone.width=4", "trainer=cpu"]
TINY += ["callbacks=[nan_guard,checkpoint]", "logger=[csv]", "max_epochs=1", "trainer.limit_train_batches=2"]
TINY += ["extractor=classifier", "extractor.epochs=1", "data.batch_size=64"]


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_metric_and_every_extractor_is_named() -> None:
    for title, group in (("Metrics", "metrics"), ("Extractors", "extractor")):
        rows = re.findall(r"^\| (`.*?`) \|", section(title), re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"`(\w+)`", row)} - {"extractor"}
        assert named == {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} - {"full"}
    full = OmegaConf.load(ROOT / "conf/metrics/full.yaml").full.names
    listed = section("Metrics").partition("`metrics=full` is")[2].partition(". What")[0]
    assert re.findall(r"`(\w+)`", listed) == list(full)


def test_names_and_keys_are_real() -> None:
    for name in ("fid10k_train_raw[classifier]", "fid50k_train", "is10k", "fid10k_train_std"):
        assert parse(name) is not None
    keys = OmegaConf.load(ROOT / "conf/train.yaml").evaluation
    assert {key for key in re.findall(r"`evaluation\.(\w+)`", PAGE)} <= set(keys)
    ours = OmegaConf.load(ROOT / "conf/evaluate.yaml")
    assert set(re.findall(r"`(\w+)`", PAGE.partition("`evaluate.py` has")[2].partition(", and where")[0])) <= set(ours)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, inception_weights: Path) -> Path:
    """Make the folders that the page speaks of: a run, a sweep, another run, images; and Inception's weights."""
    folder = tmp_path_factory.mktemp("studio")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("GAN_LIGHTNING_CACHE", str(folder / "cache"))
        for name in ("RUN", "OTHER", "SWEEP/0", "SWEEP/1"):
            words = ["metrics=[fid]", "evaluation.num_fakes=64", "callbacks.checkpoint.every_kimg=0.064"]
            train([*TINY, *words, f"run_dir={folder / name}"])
    for name in "AB":
        (folder / name).mkdir()
        for index in range(5):
            pixels = torch.randint(256, (12, 12, 3), dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(folder / name / f"{index}.png")
    place = folder / "hub/checkpoints" / inception.FILE
    place.parent.mkdir(parents=True)
    shutil.copyfile(inception_weights, place)
    return folder


@pytest.fixture
def here(studio: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(studio)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(studio / "hub"))
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(studio / "cache"))
    return studio


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_runs(line: str, here: Path, tmp_path: Path) -> None:
    python, script, *words = shlex.split(line.replace("50000", "64"), comments=True)
    command: Any = {"train.py": train, "evaluate.py": evaluate}[script]
    further = [*TINY, f"run_dir={tmp_path}/run"] if command is train else ["device=cpu"]
    if command is train and "evaluation.num_fakes=64" not in words:
        further.append("evaluation.num_fakes=64")
    result = command([*words, *further])
    assert python == "python" and result["statistics" if "save_stats" in line else "scores"]
    if "out=FOLDER" in words:
        assert (here / "FOLDER/scores.csv").exists()
    for name in ("RUN", "SWEEP"):
        if f"ckpt={name}" in words and "metrics=full" not in line and ("all" in line or name == "SWEEP"):
            assert (here / name / "evaluation/scores.md").exists() and result["scores"].keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_python_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = [text for kind, text in BLOCKS if kind == "python"]
    exec(compile(text, "docs/scores.md", "exec"), {})
    assert float(capsys.readouterr().out.splitlines()[-1]) > 0
