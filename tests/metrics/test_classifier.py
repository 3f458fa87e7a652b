"""The classifier is good at digits, is trained once, and leaves training's random numbers alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from gan_lightning.data import Digits
from gan_lightning.errors import UserError
from gan_lightning.metrics import classifier
from gan_lightning.metrics.classifier import Classifier


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path))
    return tmp_path


def test_learns_digits_prints_its_accuracy_and_leaves_the_random_state(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, extractor = Digits(image_size=16), Classifier()
    before = torch.random.get_rng_state()
    extractor.prepare(data, "cpu")
    assert torch.equal(before, torch.random.get_rng_state())
    assert extractor.accuracy >= 0.98
    assert f"{extractor.accuracy:.2%} right on 359 held-out images" in capsys.readouterr().out
    rows = extractor(data.reference("train").images[:300])
    assert rows["features"].shape == (300, 128) and rows["logits"].shape == (300, 10)
    assert rows["features"].dtype == torch.float32


def test_is_trained_once_for_a_data_set_and_again_for_another(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Classifier(epochs=1), Classifier(epochs=1)
    first.prepare(Digits(image_size=16), "cpu")
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "fit", lambda *_: pytest.fail("trained a second time"))
        second.prepare(Digits(image_size=16), "cpu")
    assert capsys.readouterr().out == ""
    assert second.fingerprint == first.fingerprint and second.accuracy == first.accuracy
    other = Classifier(epochs=1)
    other.prepare(Digits(image_size=8), "cpu")
    assert other.fingerprint != first.fingerprint


def test_one_extractor_serves_one_data_set_after_another(cache: Path) -> None:
    used, fresh = Classifier(epochs=1), Classifier(epochs=1)
    for side in (16, 8):
        used.prepare(Digits(image_size=side), "cpu")
    fresh.prepare(Digits(image_size=8), "cpu")
    assert used.fingerprint == fresh.fingerprint and used.accuracy == fresh.accuracy


def test_a_damaged_cache_is_trained_anew(cache: Path) -> None:
    first, second = Classifier(epochs=1), Classifier(epochs=1)
    first.prepare(Digits(image_size=8), "cpu")
    (file,) = (cache / "classifiers").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    second.prepare(Digits(image_size=8), "cpu")
    assert second.fingerprint == first.fingerprint


def test_features_do_not_depend_on_the_batch(cache: Path) -> None:
    data, extractor = Digits(image_size=64), Classifier(epochs=1)
    extractor.prepare(data, "cpu")
    images = data.reference("train").images[:10]
    parts = torch.cat([extractor(image[None])["features"] for image in images])
    torch.testing.assert_close(extractor(images)["features"], parts, rtol=1e-5, atol=1e-5)


def test_unlabelled_data_is_refused_with_the_ways_out() -> None:
    with pytest.raises(UserError, match=r"data=faces is unlabelled: use extractor=inception or metrics=\[\]"):
        Classifier().check(SimpleNamespace(name="faces", num_classes=0))
