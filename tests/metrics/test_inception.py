"""Inception is torch-fidelity's, its weights are checked by hash, and what is missing is said in a sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.evaluation.image_sets import score
from gan_lightning.metrics import inception
from gan_lightning.metrics.inception import Inception
from gan_lightning.metrics.inception_score import InceptionScore


@pytest.fixture(scope="module")
def extractor(inception_weights: Path) -> Inception:
    ready = Inception(str(inception_weights))
    ready.prepare(None, "cpu")
    return ready


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the hub would put the weights, in an empty folder."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    return tmp_path / "checkpoints" / inception.FILE


def images(count: int, channels: int = 3) -> Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, 40, 30), generator=stream, dtype=torch.uint8)


def test_features_are_those_of_torch_fidelity(extractor: Inception, inception_weights: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    reference = FeatureExtractorInceptionV3("reference", ["2048", "logits_unbiased"], str(inception_weights))
    features, logits = reference(images(2))
    rows = extractor(images(2))
    assert torch.equal(rows["features"], features) and torch.equal(rows["logits"], logits)


def test_autocast_does_not_reach_the_features(extractor: Inception) -> None:
    plain = extractor(images(1))["features"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(extractor(images(1))["features"], plain)


def test_grey_images_are_repeated(extractor: Inception) -> None:
    grey = images(1, channels=1)
    assert torch.equal(extractor(grey)["features"], extractor(grey.repeat(1, 3, 1, 1))["features"])


def test_unknown_weights_run_and_mark_the_scores(extractor: Inception, inception_weights: Path) -> None:
    assert extractor.suffix == "[unverified]"
    digest = hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    assert digest[:16] in extractor.fingerprint


def test_known_weights_bear_no_mark(inception_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    monkeypatch.setattr(inception, "SHA256_PREFIX", digest[:8])
    verified = Inception(str(inception_weights))
    verified.check()
    assert verified.suffix == ""


def test_building_leaves_the_random_state(inception_weights: Path) -> None:
    before = torch.random.get_rng_state()
    Inception(str(inception_weights)).check()
    assert torch.equal(before, torch.random.get_rng_state())


def test_weights_are_downloaded_to_the_hub(hub: Path, inception_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def download(url: str, path: str, hash_prefix: str) -> None:
        asked.append((url, hash_prefix))
        Path(path).write_bytes(inception_weights.read_bytes())

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    Inception().check()
    Inception().check()
    assert asked == [(inception.URL, "6726825d")] and hub.is_file()


@pytest.mark.parametrize("failure", [URLError("no network"), RuntimeError("invalid hash value")])
def test_a_failed_download_names_the_place_and_the_ways_out(
    hub: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def download(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    with pytest.raises(UserError, match=r"extractor\.weights=PATH.*metrics=\[\]") as caught:
        Inception().check()
    assert str(hub) in str(caught.value)


def test_a_path_without_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"extractor\.weights=.*nothing\.pth is not a file"):
        Inception(str(tmp_path / "nothing.pth")).check()


def test_files_that_hold_something_else_are_refused(tmp_path: Path, inception_weights: Path) -> None:
    foreign = tmp_path / "weights.pth"
    contents = [b"", b"not a file of torch", inception_weights.read_bytes()[:1000]]
    for content in contents:
        foreign.write_bytes(content)
        with pytest.raises(UserError, match="does not hold the weights"):
            Inception(str(foreign)).check()
    for value in ({"fc.weight": torch.zeros(3)}, torch.zeros(3), [1, 2], {"fc.weight": 1}):
        torch.save(value, foreign)
        with pytest.raises(UserError, match="does not hold the weights"):
            Inception(str(foreign)).check()


def test_two_channels_are_no_image_for_inception(extractor: Inception) -> None:
    with pytest.raises(UserError, match="these have 2"):
        extractor(images(1, channels=2))


def test_scores_and_protocol_tell_of_unknown_weights(inception_weights: Path) -> None:
    pixels = images(6)
    scores, evaluator = score(pixels, pixels, {"is": InceptionScore}, Inception(str(inception_weights)))
    assert set(scores) == {"is6[unverified]", "is6_std[unverified]"}
    assert evaluator.protocol.endswith("unverified inception features (TensorFlow's bilinear to 299)")
