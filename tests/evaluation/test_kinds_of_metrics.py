"""What metrics are given: pixels and labels, real rows that they keep, a generator; each in its order, and once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from rich.console import Console
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.evaluation import sample_rows
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.inference.sampling import random_labels
from gan_lightning.metrics.base import LOCAL, GeneratorMetric, SampleMetric, Setting, Subject
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception_score import InceptionScore

FAKES = TinyData(seed=1).images.images


class Witness(SampleMetric):
    """Notes what it is given, and adds up everything so that its value depends on all rows and their order."""

    consumes: ClassVar[tuple[str, ...]] = ("images", "labels", "features")
    keeps: ClassVar[tuple[str, ...]] = ("logits", "labels")
    names: ClassVar[tuple[str, ...]] = ("witness", "witness_std")
    seen: ClassVar[list[Any]] = []
    full_state_update = False

    def __init__(self, setting: Setting) -> None:
        super().__init__(**LOCAL)
        self.setting = setting
        self.add_state("real_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx=None)
        self.add_state("fake_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx=None)
        self.add_state("number", torch.zeros((), dtype=torch.float64), dist_reduce_fx=None)

    def update(self, images: Tensor, labels: Tensor, features: Tensor, real: bool) -> None:
        assert len(images) == len(labels) == len(features) and images.dtype == torch.uint8
        self.seen.append(("real" if real else "fake", images, labels))
        for image, label, feature in zip(images.double(), labels, features.double(), strict=True):
            self.number += 1
            total = self.number.sqrt() * (image.mean() + label) + feature.sum()
            self.real_sum, self.fake_sum = self.real_sum + real * total, self.fake_sum + (not real) * total

    def finish_real(self) -> None:
        self.seen.append(("finished", self.real_rows["logits"].clone(), self.real_rows["labels"].clone()))
        self.number -= self.number

    def compute(self) -> tuple[Tensor, Tensor]:
        return self.fake_sum - self.real_sum, self.real_rows["logits"].double().std()


class Looks(GeneratorMetric):
    """Notes what it is shown."""

    names: ClassVar[tuple[str, ...]] = ("looks",)
    subjects: ClassVar[list[Subject]] = []

    def __init__(self, setting: Setting) -> None:
        super().__init__(**LOCAL)
        self.setting = setting
        self.add_state("mean", torch.zeros(()), dist_reduce_fx=None)

    def update(self, subject: Subject) -> None:
        if subject.generator is None:
            raise UserError("There is no generator to look at.")
        self.subjects.append(subject)
        self.mean = subject.sample(0, 9, torch.zeros(9, dtype=torch.long)).float().mean()

    def compute(self) -> Tensor:
        return self.mean


class Conditional(nn.Module):
    """Stands for a generator with three classes."""

    num_classes = 3


@pytest.fixture(autouse=True)
def _forget() -> None:
    Witness.seen.clear()
    Looks.subjects.clear()


def sample(start: int, stop: int, labels: Tensor | None = None) -> Tensor:
    """Return images whose first pixel is their class."""
    images = FAKES[start:stop].clone()
    if labels is not None:
        images[:, 0, 0, 0] = labels.byte()
    return images


def evaluator(metrics: dict[str, Any], data: Any = None, generator: Any = None, **options: Any) -> Evaluator:
    measure = Evaluator(metrics, data or TinyData(), LinearExtractor(), **options)
    measure.attach(generator or Conditional())
    return measure


def shown(what: str) -> tuple[Tensor, Tensor]:
    images, labels = zip(*[(images, labels) for kind, images, labels in Witness.seen if kind == what], strict=True)
    return torch.cat(images), torch.cat(labels)


@pytest.mark.parametrize("batch_size", [7, 90])
def test_pixels_and_classes_belong_together(batch_size: int) -> None:
    measure = evaluator({"witness": Witness}, num_fakes=70, seed=5, batch_size=batch_size)
    measure.prepare()
    Witness.seen.clear()
    measure.evaluate(sample)
    images, labels = shown("fake")
    held_out = len(images) - 70  # those of the floor come first
    assert torch.equal(labels[held_out:], random_labels(3, 0, 70, 5))
    assert torch.equal(images[held_out:, 0, 0, 0], labels[held_out:].byte())
    assert torch.equal(images[held_out:].flatten(1)[:, 1:], FAKES[:70].flatten(1)[:, 1:])
    real_images, real_labels = (rows[:90] for rows in shown("real"))
    assert torch.equal(real_images, TinyData().images.images) and torch.equal(real_labels, torch.arange(90) % 3)


def test_kept_rows_come_before_samples_and_not_through_update() -> None:
    data = TinyData()
    scores = evaluator({"witness": Witness}, data).evaluate(sample)
    kinds = [kind for kind, *_ in Witness.seen]
    assert list(dict.fromkeys(kinds)) == ["real", "finished", "fake"] and kinds.count("finished") == 2
    logits = LinearExtractor()
    logits.prepare(data, "cpu")
    expected = logits(data.images.images)["logits"]
    whole = next(entry for entry in Witness.seen if entry[0] == "finished")
    assert torch.equal(whole[1], expected) and torch.equal(whole[2], data.images.labels)
    assert scores["witness90_train_std[linear]"] == pytest.approx(expected.double().std().item(), rel=1e-6)


def test_a_later_process_has_states_and_rows_without_reading_or_finishing_anything() -> None:
    first = evaluator({"witness": Witness, "fid": FID})
    scores = first.evaluate(sample)
    data = TinyData()
    data.closed = True
    Witness.seen.clear()
    second = evaluator({"witness": Witness, "fid": FID}, data)
    assert second.evaluate(sample) == scores and second.floor == first.floor
    assert {kind for kind, *_ in Witness.seen} == {"fake"}


def test_the_floor_is_built_for_its_own_numbers_and_left_out_where_they_are_too_few() -> None:
    class Demanding(FID):
        def __init__(self, setting: Setting) -> None:
            super().__init__(setting)
            if setting.num_reals < 60:
                raise UserError(f"{setting.num_reals} real images are too few.")

    few, enough = (evaluator({"fid": Demanding}, num_fakes=count) for count in (45, 30))
    assert few.evaluate(sample) and few.floor == {}
    assert enough.evaluate(sample) and set(enough.floor) == {"fid30_train[linear]"}


def test_a_generator_is_shown_once_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    generator, discriminator = Conditional(), nn.Identity()
    measure = evaluator({"looks": Looks, "fid": FID}, num_fakes=80, seed=3)
    measure.attach(generator, discriminator)
    scores = measure.evaluate(sample, folder=tmp_path, images_seen=1234)
    (subject,) = Looks.subjects
    assert list(scores) == ["looks80", "fid80_train[linear]"]
    assert scores["looks80"] == pytest.approx(float(sample(0, 9, torch.zeros(9)).float().mean()))
    assert (subject.generator, subject.discriminator, subject.data) == (generator, discriminator, measure.data)
    assert (subject.num_fakes, subject.seed, subject.folder, subject.images_seen) == (80, 3, tmp_path, 1234)
    assert measure.setting.has_generator and measure.setting.has_discriminator and measure.setting.fakes_labelled


def test_without_a_generator_the_metric_says_what_it_lacks() -> None:
    measure = Evaluator({"looks": Looks}, TinyData())
    assert not measure.setting.has_generator
    with pytest.raises(UserError, match="no generator to look at"):
        measure.evaluate(sample)


def test_classes_that_are_not_there_are_said_before_training() -> None:
    class Unlabelled(TinyData):
        num_classes = 0

    with pytest.raises(UserError, match="needs classes, and data=tiny is unlabelled"):
        evaluator({"witness": Witness}, Unlabelled()).check()
    unconditional = evaluator({"witness": Witness})
    unconditional.attach(nn.Identity())
    with pytest.raises(UserError, match="needs samples of given classes"):
        unconditional.check()


def test_features_that_are_not_numbers_are_no_score_and_no_diverged_training() -> None:
    measure = evaluator({"fid": FID, "is": InceptionScore})
    measure.evaluate(sample)
    measure.extractor.network.weight[0, 0] = torch.nan
    with pytest.warns(UserWarning, match="linear features of 90 of 90 samples are not finite"):
        assert measure.evaluate(sample) == {}


def test_too_few_images_for_the_features_are_said_once(recwarn: pytest.WarningsRecorder) -> None:
    measure = evaluator({"fid": FID}, TinyData(count=12), num_fakes=5)
    measure.prepare()
    measure.prepare()
    measure.evaluate(sample)
    told = [str(warning.message) for warning in recwarn if "too few" in str(warning.message)]
    assert len(told) == 1 and "6 features to 5 samples" in told[0]


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(UserError, match=r"Samples have the shape \(1, 2, 2\) and the real ones \(1, 4, 4\)"):
        evaluator({"fid": FID}).evaluate(lambda start, stop: FAKES[start:stop, :, :2, :2])


def test_names_tell_split_and_raw_weights() -> None:
    measure = evaluator({"fid": FID, "is": InceptionScore}, TinyData(1000), num_fakes=90, split="test", raw=True)
    assert list(measure.evaluate(sample)) == ["fid90_test_raw[linear]", "is90_raw[linear]", "is90_raw_std[linear]"]
    assert measure.protocol == "90 raw samples (seed 0) vs 1,000 test images, linear features"
    assert set(measure.floor) == {"fid90_test_raw[linear]", "is90_raw[linear]", "is90_raw_std[linear]"}


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_where_someone_is_watching(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(force_terminal=terminal, force_interactive=terminal, width=100)
    monkeypatch.setattr(sample_rows, "get_console", lambda: console)
    evaluator({"fid": FID}, batch_size=10).evaluate(sample)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)
    assert ("90/90" in shown and "samples" in shown) == terminal


def test_the_protocol_says_that_the_inception_score_has_fewer_splits() -> None:
    measure = evaluator({"fid": FID, "is": InceptionScore}, TinyData(40), num_fakes=10)
    with pytest.warns(UserWarning, match=r"is takes 5 splits instead of metrics\.is\.splits=10"):
        scores = measure.evaluate(lambda start, stop: TinyData(40, seed=1).images.images[start:stop])
    assert measure.protocol.endswith("train images, is over 5 splits, linear features") and scores["is10[linear]"] > 1
