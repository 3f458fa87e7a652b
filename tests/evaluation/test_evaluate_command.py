"""`python evaluate.py`: a checkpoint by its own protocol, two folders, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor

from gan_lightning import load
from gan_lightning.cli.evaluate import evaluate, main
from gan_lightning.data import Digits
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.metrics.classifier import Classifier
from gan_lightning.metrics.fid import FID
from gan_lightning.networks.dcgan import DCGANGenerator

CONFIG = {
    "data": {"_target_": "gan_lightning.data.Digits", "image_size": 8},
    "metrics": {"fid": {"_target_": "gan_lightning.metrics.fid.FID", "_partial_": True}},
    "extractor": {"_target_": "gan_lightning.metrics.classifier.Classifier", "epochs": 1},
    "evaluation": {"num_fakes": 200, "split": "train", "seed": 3, "raw": False},
}


class Grey(LinearExtractor):
    """The tiny extractor on the first channel."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(images[:, :1])


def save(folder: Path, config: dict[str, Any] | None) -> Path:
    network = DCGANGenerator(8, 1, num_classes=0, latent_dim=4, width=4)
    entry = {"format": 1, "config": config, "networks": {"generator": network.arguments}, "scores": {}}
    state = {f"generator.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "gan_lightning": entry}, folder / "last.ckpt")
    return folder / "last.ckpt"


def test_a_checkpoint_is_measured_as_its_training_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, CONFIG)
    result = evaluate([f"ckpt={path}", "device=cpu"])
    generator = load(path)
    direct = Evaluator({"fid": FID}, Digits(image_size=8), Classifier(epochs=1), num_fakes=200, seed=3)
    assert result["scores"] == direct.evaluate(lambda start, stop: generator.generate(start, stop, 3))
    assert result["protocol"] == "200 EMA samples (seed 3) vs 1,797 train images, classifier features"
    assert result["floor"] == direct.floor
    printed = capsys.readouterr().out
    assert "fid200_train[classifier]" in printed and result["protocol"] in printed


def test_the_command_line_comes_before_the_checkpoint(tmp_path: Path) -> None:
    path = save(tmp_path, {**CONFIG, "data": {"_target_": "gan_lightning.data.Ring"}})
    words = [
        "data=digits",
        "data.image_size=8",
        "metrics=[is]",
        "num_fakes=50",
        "extractor=classifier",
        "extractor.epochs=1",
    ]
    result = evaluate([f"ckpt={path}", "device=cpu", *words])
    assert set(result["scores"]) == {"is50[classifier]", "is50_std[classifier]"}
    assert result["protocol"].startswith("50 EMA samples")


def test_two_folders(tmp_path: Path) -> None:
    for name, images in (("real", TinyData().images.images), ("fake", TinyData(seed=1).images.images)):
        (tmp_path / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image[0].numpy()).save(tmp_path / name / f"{index:03d}.png")
    config = evaluate.compose([f"real={tmp_path}/real", f"fake={tmp_path}/fake", "device=cpu"])
    config.extractor = {"_target_": f"{__name__}.Grey"}
    result = evaluate(config)
    expected = Evaluator({"fid": FID}, TinyData(), LinearExtractor())
    scores = expected.evaluate(lambda start, stop: TinyData(seed=1).images.images[start:stop])
    assert list(result["scores"]) == ["fid90[linear]", "is90[linear]", "is90_std[linear]"]
    assert result["scores"]["fid90[linear]"] == pytest.approx(scores["fid90_train[linear]"], rel=1e-6)
    assert result["protocol"] == "90 images of fake vs 90 images of real, linear features"


def test_a_checkpoint_cannot_name_what_is_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    attack = {"_target_": "os.mkdir", "path": str(proof)}
    nested = {"_target_": "gan_lightning.data.Digits", "image_size": {"_target_": "os.mkdir", "path": str(proof)}}
    for change in ({"data": attack}, {"data": nested}, {"extractor": attack}, {"metrics": {"fid": attack}}):
        path = save(tmp_path, {**CONFIG, **change})
        with pytest.raises(UserError, match=r"asks for os\.mkdir, which is not one of gan_lightning's"):
            evaluate([f"ckpt={path}", "device=cpu"])
    assert not proof.exists()


@pytest.mark.parametrize(
    "words, sentence",
    [
        ([], "Say what to evaluate"),
        (["ckpt=a", "real=b", "fake=c"], "Say what to evaluate"),
        (["real=a"], "both real=FOLDER and fake=FOLDER"),
        (["ckpt=/nowhere"], "There is no checkpoint at /nowhere"),
        (["real=/nowhere", "fake=/nowhere"], "There is no folder /nowhere"),
        (["metrics=[fidd]"], "fid"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluate(words)


def test_a_checkpoint_without_configuration_needs_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"choose the data set by data=\.\.\."):
        evaluate([f"ckpt={save(tmp_path, None)}", "device=cpu"])


def test_a_data_set_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images of shape \(1, 8, 8\), and data=digits has \(1, 32, 32\)"):
        evaluate([f"ckpt={save(tmp_path, CONFIG)}", "data=digits", "device=cpu"])


def test_an_interrupted_evaluation_ends_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["evaluate.py", f"ckpt={save(tmp_path, CONFIG)}", "device=cpu"])
    monkeypatch.setattr(FID, "update", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and capsys.readouterr().err == "gan-evaluate: interrupted.\n"
