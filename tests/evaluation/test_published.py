"""Published scores stand beside a run's own where both are measured alike, and are said not to compare elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gan_lightning.cli.evaluate import evaluate
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluation_callback import Published

OWN = {"fid10k_train": 3.4, "fid50k_train": 2.9, "is50k": 9.0, "is50k_std": 0.1}
TINY = ["data.image_size=8", "model.generator.width=4", "model.discriminator.backbone.width=4", "trainer=cpu"]
TINY += ["trainer.limit_train_batches=1", "max_epochs=2", "callbacks=[nan_guard,checkpoint]", "logger=[csv]"]
TINY += ["metrics=[fid]", "extractor=classifier", "extractor.epochs=1", "evaluation.num_fakes=50"]


def lines(published: dict[str, Any], own: dict[str, float] = OWN, data: str | None = "cifar10") -> list[str]:
    return Published(published).lines(own, data)


def test_scores_of_one_protocol_stand_beside_one_another() -> None:
    assert lines({"fid50k_train": 2.84}) == ["published fid50k_train 2.84, this run 2.9"]
    assert lines({"data": "cifar10", "is50k": 9.22, "kid50k_train": 0.01}) == ["published is50k 9.22, this run 9"]


@pytest.mark.parametrize(
    ("own", "difference"),
    [
        ("fid10k_train", "10k samples, not 50k."),
        ("fid50k_test", "against the split test, not train."),
        ("fid50k_train_raw", "weights as trained."),
        ("fid50k_train[unverified]", "features of unverified Inception, not verified Inception."),
        ("fid1797[classifier]", "1797 samples, not 50k; against the split of given images, not train; features of"),
    ],
)
def test_scores_of_another_protocol_are_said_not_to_compare(own: str, difference: str) -> None:
    (line,) = lines({"fid50k_train": 2.84}, {own: 3.5})
    assert line.startswith(f"published fid50k_train 2.84 does not compare with this run's {own} 3.5: {difference}")


def test_other_data_do_not_compare() -> None:
    (line,) = lines({"data": "cifar10", "fid50k_train": 2.84}, data="digits")
    assert line.endswith("does not compare with this run's fid50k_train 2.9: data=digits, not cifar10.")


def test_a_run_says_it_once_and_an_evaluation_of_its_checkpoint_again(
    run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = train([*TINY, f"run_dir={run_folder}", "published={fid50k_train: 2.84}"])
    assert list(result["scores"]) == ["fid50_train[classifier]"]
    said = "published fid50k_train 2.84 does not compare with this run's fid50_train[classifier]"
    assert capsys.readouterr().out.count(said) == 1
    evaluate([f"ckpt={run_folder}", "device=cpu"])
    assert said in capsys.readouterr().out


def test_recipes_have_it() -> None:
    assert train.compose(["experiment=r3gan_cifar10"]).published == {"data": "cifar10", "fid50k_train": 1.96}
    assert train.compose([]).published is None


@pytest.mark.parametrize(
    ("published", "sentence"),
    [
        ("{fdi50k: 3}", r"published\.fdi50k is no score: a name is a kind, .* and the kinds are 'fid',"),
        ("{fid50k_train: low}", r"published\.fid50k_train=low is no score: give a number"),
        ("3", r"published=3 is no list of scores"),
    ],
)
def test_what_is_no_score_is_refused_before_training(published: str, sentence: str, run_folder: Path) -> None:
    with pytest.raises(UserError, match=sentence):
        train([*TINY, f"run_dir={run_folder}", f"published={published}"])
    assert not (run_folder / "config.yaml").exists()
