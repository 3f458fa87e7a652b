"""`metrics=full`: what a setting cannot give is left out with a line, but is a mistake where asked for by name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tiny_evaluation import LinearExtractor, TinyData

from gan_lightning.cli.evaluate import evaluate
from gan_lightning.cli.objects import build
from gan_lightning.cli.train import train
from gan_lightning.data import Ring
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.modes import Modes
from gan_lightning.metrics.neighbours import DensityCoverage
from gan_lightning.metrics.preset import Preset

FULL = Path(__file__).parents[2] / "conf/metrics/full.yaml"
METRICS: dict[str, Any] = {"fid": FID, "coverage": partial(DensityCoverage, k=95), "modes": Modes}


def full(data: Any, *names: str) -> Evaluator:
    return Evaluator({**METRICS, "full": Preset(names)}, data, LinearExtractor())


def test_the_list_names_what_it_selects() -> None:
    listed = OmegaConf.load(FULL)
    assert list(listed.full.names) == [name for name in listed.defaults if name != "_self_"]
    composed = evaluate.compose(["metrics=full"]).metrics
    assert {*composed} == {*listed.full.names, "full"}
    assert evaluate.compose(["metrics=[full,fid]"]).metrics == composed


def test_what_cannot_be_measured_is_left_out_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    evaluator = full(TinyData(), "fid", "coverage", "modes")
    scores = evaluator.evaluate(lambda start, stop: TinyData(seed=1).images.images[start:stop])
    assert list(scores) == ["fid90_train[linear]"] and set(evaluator.left_out) == {"coverage", "modes"}
    printed = capsys.readouterr().out
    assert "Left out coverage: metrics.density_coverage looks for 95 neighbours of each of 90 real images" in printed
    assert "Left out modes: metrics=[modes] counts the modes of a Gaussian mixture" in printed
    evaluator.check()
    assert not capsys.readouterr().out


def test_points_have_modes_and_no_features() -> None:
    evaluator = full(Ring(), "fid", "coverage", "modes")
    scores = evaluator.evaluate(lambda start, stop: torch.zeros(stop - start, 2))
    assert list(scores) == ["modes", "high_quality", "reverse_kl"] and evaluator.extractor.seen == 0


def test_what_is_asked_for_by_name_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"metrics=\[modes\] counts the modes"):
        full(TinyData(), "fid", "coverage").check()
    with pytest.raises(UserError, match=r"metrics=\[modes\] counts the modes"):
        Evaluator({"modes": Modes, "full": Preset(["modes"])}, TinyData(), LinearExtractor()).check()


def test_training_takes_it_too(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data=ring", "metrics=full", "trainer=cpu", "max_kimg=1", "callbacks=[limit]", "logger=[csv]"]
    result = train([*words, f"run_dir={run_folder}"])
    assert list(result["scores"])[-3:] == ["modes", "high_quality", "reverse_kl"]
    assert not [name for name in result["scores"] if name.startswith("fid")]
    assert capsys.readouterr().out.count("Left out fid:") == 1
    assert isinstance(build(OmegaConf.load(run_folder / "config.yaml").metrics.full), Preset)
