"""Classifiers learn from generated images exactly what these hold of the classes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from subjects import Splits, subject
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting, named_values
from gan_lightning.metrics.classification_accuracy import ClassificationAccuracy

CLASSES = 4
SETTING = Setting(labels=CLASSES, fakes_labelled=True, image_shape=(1, 8, 8))
EPOCHS = 4


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path / "cache"))


def bars(labels: Tensor, seed: int = 0) -> Tensor:
    """Return uint8 images: noise, and a bright bar in the rows of the class."""
    noise = torch.rand(len(labels), 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 100
    for image, label in zip(noise, labels.tolist(), strict=True):
        image[:, 2 * label : 2 * label + 2] += 150
    return noise.byte()


def data(test: bool = False) -> Splits:
    labels = torch.arange(400) % CLASSES
    splits = {"train": (bars(labels), labels)}
    if test:
        splits["test"] = (bars((labels + 1) % CLASSES, seed=9)[:100], labels[:100])  # every label is wrong
    return Splits(CLASSES, **splits)


def good(start: int, stop: int, labels: Tensor) -> Tensor:
    return bars(labels, seed=start + 1).float() / 127.5 - 1


def collapsed(start: int, stop: int, labels: Tensor) -> Tensor:
    return good(start, stop, torch.zeros_like(labels))


def accuracies(sample, test: bool = False, **options: object) -> dict[str, float]:
    metric = ClassificationAccuracy(SETTING, epochs=EPOCHS, **options)
    metric.update(subject(data(test), sample))
    return named_values(metric)


def test_a_generator_that_knows_the_classes_teaches_and_passes() -> None:
    values = accuracies(good, augmented=True)
    assert list(values) == ["gan_train", "gan_test", "gan_base", "gan_augmented"]
    assert min(values.values()) > 0.97


def test_a_generator_of_one_class_teaches_nothing_and_real_images_still_do() -> None:
    values = accuracies(collapsed, augmented=True)
    assert values["gan_train"] < 0.4 and values["gan_test"] == pytest.approx(1 / CLASSES, abs=0.05)
    assert values["gan_base"] > 0.97 and values["gan_augmented"] > values["gan_train"]


def test_the_test_split_is_what_is_tested_on_where_there_is_one() -> None:
    values = accuracies(good, test=True)
    assert values["gan_train"] < 0.1 and values["gan_base"] < 0.1 < 0.97 < values["gan_test"]


def test_the_classes_of_samples_are_those_of_the_real_images_and_nothing_else_is_drawn() -> None:
    asked = []

    def sample(start: int, stop: int, labels: Tensor) -> Tensor:
        asked.append((start, stop, labels))
        return good(start, stop, labels)

    before = torch.random.get_rng_state()
    first = accuracies(sample)
    assert torch.equal(before, torch.random.get_rng_state())
    assert [(start, stop) for start, stop, _ in asked] == [(0, 256), (256, 320)]
    assert torch.cat([labels for *_, labels in asked]).bincount().tolist() == pytest.approx([80] * 4, abs=12)
    assert accuracies(sample) == first


def test_without_classes_on_either_side_it_says_which_are_lacking() -> None:
    with pytest.raises(UserError, match="teaches classes, and data=faces has none"):
        ClassificationAccuracy(Setting(data="faces", fakes_labelled=True))
    with pytest.raises(UserError, match="teaches classes, and the generator makes none to order"):
        ClassificationAccuracy(Setting(labels=10, data="digits"))
