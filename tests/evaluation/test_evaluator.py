"""What the evaluator promises: one pass, one reading of the real data, the same scores in any batches."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor, nn

from gan_lightning.data import Ring
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.reference import Reference, held_out_count, held_out_mask
from gan_lightning.evaluation.selection import metrics_named
from gan_lightning.metrics.base import Setting, named_values
from gan_lightning.metrics.discriminator_accuracy import DiscriminatorAccuracy
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception_score import InceptionScore
from gan_lightning.metrics.kid import KID
from gan_lightning.metrics.modes import Modes
from gan_lightning.metrics.nearest import NearestTrainingImages
from gan_lightning.networks.base import DiscriminatorOutput

BOTH = {"fid": FID, "is": InceptionScore}
FAKES = TinyData(seed=1).images.images


def fakes(start: int, stop: int) -> Tensor:
    return FAKES[start:stop]


class Labelled(nn.Module):
    """Stands for a generator with the classes of the data."""

    num_classes = 3


class Judge(nn.Module):
    """Calls bright images real."""

    def __init__(self, border: float = 0.0) -> None:
        super().__init__()
        self.border = nn.Parameter(torch.tensor(border))

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput(images.mean((1, 2, 3)) - self.border)


def test_scores_are_those_of_the_metrics_on_all_features_at_once() -> None:
    data, extractor = TinyData(), LinearExtractor()
    scores = Evaluator(BOTH, data, extractor, batch_size=32).evaluate(fakes)
    fid, inception_score = FID(Setting(feature_dim=6)), InceptionScore(Setting())
    fid.update(extractor(data.images.images)["features"], real=True)
    fid.update(extractor(FAKES)["features"], real=False)
    inception_score.update(extractor(FAKES)["logits"])
    expected = named_values(fid) | named_values(inception_score)
    assert list(scores) == ["fid90_train[linear]", "is90[linear]", "is90_std[linear]"]
    assert list(scores.values()) == pytest.approx(list(expected.values()), rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 90, 1000])
def test_the_size_of_batches_does_not_matter(batch_size: int) -> None:
    expected = Evaluator(BOTH, TinyData(), LinearExtractor(), batch_size=32).evaluate(fakes)
    data = TinyData(transform="none ")  # another key, so that the real statistics are measured in these batches too
    scores = Evaluator(BOTH, data, LinearExtractor(), batch_size=batch_size).evaluate(fakes)
    assert scores == pytest.approx(expected, rel=1e-6)


def test_floats_are_rounded_to_the_pixels_they_stand_for() -> None:
    evaluator = Evaluator(BOTH, TinyData(), LinearExtractor())
    floats = evaluator.evaluate(lambda start, stop: fakes(start, stop).float() / 127.5 - 1)
    assert floats == evaluator.evaluate(fakes)


def test_the_set_against_itself_has_no_distance() -> None:
    data = TinyData()
    scores = Evaluator({"fid": FID}, data, LinearExtractor()).evaluate(lambda a, b: data.images.images[a:b])
    assert scores["fid90_train[linear]"] == pytest.approx(0, abs=1e-9)


def test_one_pass_serves_all_metrics_and_a_second_evaluation_reads_no_real_image() -> None:
    data, extractor = TinyData(), LinearExtractor()
    evaluator = Evaluator(BOTH, data, extractor)
    first = evaluator.evaluate(fakes)
    assert extractor.seen == 90 + 90
    data.closed = True
    assert evaluator.evaluate(fakes) == first
    assert extractor.seen == 90 + 90 + 90


def test_another_process_finds_statistics_and_floor_on_disk() -> None:
    data = TinyData()
    first = Evaluator(BOTH, data, LinearExtractor())
    scores = first.evaluate(fakes)
    data.closed = True
    second = Evaluator(BOTH, data, LinearExtractor())
    assert second.evaluate(fakes) == scores
    assert second.floor == first.floor and set(first.floor) == set(scores)


def test_a_further_metric_leaves_cached_ones_alone(cache: Path) -> None:
    Evaluator({"fid": FID}, TinyData(), LinearExtractor()).evaluate(fakes)
    (file,) = (cache / "statistics").iterdir()
    before = file.stat().st_mtime_ns
    Evaluator(BOTH, TinyData(), LinearExtractor()).evaluate(fakes)
    assert len(list((cache / "statistics").iterdir())) == 2
    assert file.stat().st_mtime_ns == before


def test_cached_statistics_are_for_one_content_transform_extractor_split_and_option() -> None:
    first = Evaluator({"is": InceptionScore}, TinyData(), LinearExtractor())
    first.evaluate(fakes)
    other = LinearExtractor()
    other.fingerprint = "other"
    changed = [
        Evaluator({"is": InceptionScore}, TinyData(seed=5), LinearExtractor()),
        Evaluator({"is": InceptionScore}, TinyData(transform="flipped"), LinearExtractor()),
        Evaluator({"is": InceptionScore}, TinyData(), other),
        Evaluator({"is": InceptionScore}, TinyData(), LinearExtractor(), split="test"),
    ]
    for evaluator in changed:
        evaluator.data.closed = True
        with pytest.raises(AssertionError, match="the real data was read"):
            evaluator.evaluate(fakes)


def test_cached_features_serve_other_options_metrics_and_numbers_of_samples() -> None:
    first = Evaluator({"is": InceptionScore}, TinyData(), LinearExtractor())
    first.evaluate(fakes)
    others = [
        Evaluator({"is": partial(InceptionScore, splits=2)}, TinyData(), LinearExtractor()),
        Evaluator({"is": InceptionScore}, TinyData(), LinearExtractor(), num_fakes=20),
    ]
    for evaluator in others:
        evaluator.data.closed = True
        evaluator.evaluate(fakes)
        assert set(evaluator.floor.values()).isdisjoint(first.floor.values())


def test_damaged_statistics_are_measured_again(cache: Path) -> None:
    expected = Evaluator({"fid": FID}, TinyData(), LinearExtractor()).evaluate(fakes)
    (file,) = (cache / "statistics").iterdir()
    file.write_bytes(file.read_bytes()[:50])
    assert Evaluator({"fid": FID}, TinyData(), LinearExtractor()).evaluate(fakes) == expected


def test_the_floor_compares_disjoint_real_images() -> None:
    data, extractor = TinyData(), LinearExtractor()
    evaluator = Evaluator({"fid": FID}, data, extractor, num_fakes=30)
    evaluator.evaluate(fakes)
    assert evaluator.floor_protocol == "30 train images vs the other 60"
    mask, expected = held_out_mask(90, 30), FID(Setting(feature_dim=6))
    assert mask.sum() == 30
    expected.update(extractor(data.images.images[mask])["features"], real=False)
    expected.update(extractor(data.images.images[~mask])["features"], real=True)
    assert evaluator.floor["fid30_train[linear]"] == pytest.approx(named_values(expected)["fid"], rel=1e-6)


@pytest.mark.parametrize("reals, fakes, expected", [(1797, 1797, 898), (50_000, 10_000, 10_000), (3, 3, 0), (4, 2, 2)])
def test_as_many_real_images_as_samples_are_held_out_where_there_are_enough(
    reals: int, fakes: int, expected: int
) -> None:
    assert held_out_count(reals, fakes) == expected


def test_the_floor_of_a_set_of_one_repeated_image_is_nothing() -> None:
    data = TinyData()
    data.images.images[:] = data.images.images[:1].clone()
    evaluator = Evaluator({"fid": FID}, data, LinearExtractor())
    evaluator.evaluate(fakes)
    assert evaluator.floor["fid90_train[linear]"] == pytest.approx(0, abs=1e-6)


def test_samples_that_are_not_numbers_get_no_score() -> None:
    evaluator = Evaluator(BOTH, TinyData(), LinearExtractor())

    def broken(start: int, stop: int) -> Tensor:
        images = fakes(start, stop).float() / 127.5 - 1
        images[:2, 0, 0, 0] = torch.tensor([math.nan, math.inf])
        return images

    with pytest.warns(UserWarning, match="2 of 90 samples are not finite"):
        assert evaluator.evaluate(broken) == {}
    assert "fid90_train[linear]" in evaluator.evaluate(fakes)


def test_an_extractor_that_fails_on_real_images_is_refused() -> None:
    extractor = LinearExtractor()
    evaluator = Evaluator(BOTH, TinyData(), extractor)
    evaluator.prepare()
    extractor.network.weight[0, 0] = math.inf
    with pytest.raises(UserError, match=r"linear features of \d+ of 90 real images are not finite"):
        evaluator.evaluate(fakes)


def test_points_that_are_not_numbers_get_no_score() -> None:
    evaluator = Evaluator({"modes": Modes}, Ring(num_points=100))
    with pytest.warns(UserWarning, match="not finite"):
        assert evaluator.evaluate(lambda start, stop: torch.full((stop - start, 2), math.nan)) == {}


@pytest.mark.parametrize("name", ["classification_accuracy", "discriminator_accuracy", "nearest"])
def test_a_metric_that_asks_for_samples_itself_has_no_score_of_nan(name: str) -> None:
    evaluator = Evaluator({name: metrics_named(name)[name]}, TinyData(), LinearExtractor())
    evaluator.attach(Labelled(), Judge())

    def broken(start: int, stop: int, labels: Tensor | None = None) -> Tensor:
        images = fakes(start, stop).float() / 127.5 - 1
        images[-1, 0, 0, 0] = math.nan
        return images

    with pytest.warns(UserWarning, match=re.escape(f"metrics=[{name}] was given samples that are not finite")):
        assert evaluator.evaluate(broken) == {}
    assert evaluator.evaluate(lambda start, stop, labels=None: fakes(start, stop) / 127.5 - 1)


def test_a_single_training_image_has_no_neighbours() -> None:
    with pytest.raises(UserError, match="data=tiny has a single one: add images, or leave it out"):
        Evaluator({"nearest": NearestTrainingImages}, TinyData(1), LinearExtractor(), num_fakes=9).check()


def test_a_discriminator_that_has_diverged_has_no_accuracy() -> None:
    evaluator = Evaluator({"discriminator_accuracy": DiscriminatorAccuracy}, TinyData())
    evaluator.attach(Labelled(), Judge(math.nan))
    with pytest.warns(UserWarning, match="d_accuracy_train came out as nan"):
        assert evaluator.evaluate(lambda start, stop, labels: fakes(start, stop) / 127.5 - 1) == {}


@pytest.mark.parametrize(("device", "place"), [("cuda:0", "cuda:0"), ("mps", "cpu"), ("cpu", "cpu")])
def test_what_follows_from_the_real_rows_is_measured_on_the_device(
    device: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves: list[object] = []
    evaluator = Evaluator({"kid": KID}, TinyData())
    reference = Reference(
        evaluator.metrics, evaluator.setting, evaluator.data, "train", None, 9, torch.device(device), print
    )
    monkeypatch.setattr(KID, "to", lambda metric, where: moves.append(where) or metric)
    monkeypatch.setattr(KID, "finish_real", lambda metric: moves.append(metric.real_rows["features"]))
    rows = torch.zeros(9, 6)
    reference._finish_real(KID(evaluator.setting), {"features": rows})
    assert moves == [torch.device(place), rows]


def test_rows_go_where_their_metric_is() -> None:
    metric = KID(Setting()).to("meta")
    metric.real_rows = {"features": torch.zeros(9, 6)}
    assert metric.reals().device.type == "meta"


def test_what_cannot_be_kept_is_measured_all_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cache / "rows").write_text("a file where a folder belongs")
    with pytest.warns(UserWarning, match=r"rows/.* cannot be written .*set GAN_LIGHTNING_CACHE=FOLDER"):
        scores = Evaluator(BOTH, TinyData(), LinearExtractor()).evaluate(fakes)
    (cache / "rows").unlink()
    assert Evaluator(BOTH, TinyData(), LinearExtractor()).evaluate(fakes) == scores
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(cache / "statistics/file"))
    (cache / "statistics/file").touch()
    with pytest.raises(UserError, match=r"cannot be made .*set GAN_LIGHTNING_CACHE=FOLDER"):
        Evaluator(BOTH, TinyData(), LinearExtractor()).evaluate(fakes)


def test_a_mixture_is_measured_on_2500_points_without_an_extractor() -> None:
    data = Ring()
    evaluator = Evaluator({"modes": Modes}, data)
    scores = evaluator.evaluate(lambda start, stop: data.reference("train").images[start:stop])
    assert evaluator.num_fakes == 2500 and evaluator.protocol == "2,500 EMA samples (seed 0) vs 8 modes"
    assert scores["modes"] == 8 and scores["high_quality"] == pytest.approx(0.98889, abs=0.01)


def test_the_random_state_of_training_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    Evaluator(BOTH, TinyData(), LinearExtractor()).evaluate(fakes)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_protocol_is_text() -> None:
    evaluator = Evaluator(BOTH, TinyData(), LinearExtractor(), num_fakes=1234, raw=True)
    assert evaluator.protocol == "1,234 raw samples (seed 0) vs 90 train images, linear features"


def test_ten_thousand_samples_are_the_most_by_default() -> None:
    assert Evaluator(BOTH, TinyData(count=12_000), LinearExtractor()).num_fakes == 10_000


@pytest.mark.parametrize(
    "evaluator, sentence",
    [
        (lambda: Evaluator(BOTH, TinyData()), r"metrics=\[fid,is\] needs features: add extractor="),
        (lambda: Evaluator(BOTH, Ring(num_points=9), LinearExtractor()), r"holds points: use metrics=\[modes\]"),
        (lambda: Evaluator({"modes": Modes}, TinyData()), "choose data=ring or data=grid"),
        (lambda: Evaluator(BOTH, TinyData(count=1), LinearExtractor()), "has 1 image in its split 'train'"),
        (lambda: Evaluator(BOTH, TinyData(), LinearExtractor(), num_fakes=1), r"evaluation\.num_fakes=1 is too small"),
        (lambda: Evaluator(BOTH, TinyData(), LinearExtractor(), batch_size=0), r"batch_size=0 is too small"),
    ],
)
def test_what_cannot_be_measured_is_said_before_training(evaluator: object, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        evaluator().check()
