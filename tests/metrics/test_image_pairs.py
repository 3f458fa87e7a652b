"""MS-SSIM and LPIPS of pairs agree with torchmetrics, keep to classes, and say what they need."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision
from torch import Tensor
from torchmetrics.functional.image import (
    learned_perceptual_image_patch_similarity,
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from gan_lightning.errors import UserError
from gan_lightning.metrics import lpips, weights
from gan_lightning.metrics.base import Setting, named_values
from gan_lightning.metrics.image_pairs import PairMetric, pairs_within
from gan_lightning.metrics.lpips import LPIPS, IntraLPIPS, LPIPSDiversity
from gan_lightning.metrics.ms_ssim import WEIGHTS, IntraMSSSIM, MSSSIMDiversity, options

FILE = "alexnet-owt-7be5be79.pth"


def images(count: int = 12, side: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, channels, 4, 4, generator=stream) * 255
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear").round().byte()


def setting(fakes: Tensor, labels: int = 0) -> Setting:
    return Setting(image_shape=tuple(fakes.shape[1:]), num_fakes=len(fakes), labels=labels, fakes_labelled=labels > 0)


def value(metric: PairMetric, fakes: Tensor, labels: Tensor | None = None, batch_size: int = 5) -> float:
    rows = (fakes,) if labels is None else (fakes, labels)
    for parts in zip(*(row.split(batch_size) for row in rows), strict=True):
        metric.update(*parts)
    (score,) = named_values(metric).values()
    return score


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the hub would put the weights, in an empty folder, with no network to download them."""

    def download(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    return tmp_path / "checkpoints" / FILE


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of seeded random weights, 240 MB."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = torchvision.models.alexnet(weights=None).state_dict()
    path = tmp_path_factory.mktemp("alexnet") / FILE
    torch.save(state, path)
    return path


@pytest.fixture
def seeded(hub: Path, alexnet: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put seeded random weights where the download would, and let them pass for the published ones."""
    hub.parent.mkdir()
    os.link(alexnet, hub)
    monkeypatch.setattr(weights, "sha256", lambda path: "7be5be79")
    return hub


def test_pairs_stay_within_their_labels_and_no_image_is_in_two() -> None:
    labels = torch.randint(4, (101,), generator=torch.Generator().manual_seed(0))
    first, second = pairs_within(labels)
    assert torch.equal(labels[first], labels[second])
    assert len(torch.cat([first, second]).unique()) == 2 * len(first) == 2 * sum(n // 2 for n in labels.bincount())


def test_ms_ssim_is_torchmetrics_of_the_pairs() -> None:
    fakes = images(2, side=180)
    a, b = fakes.float().split(1)
    expected = multiscale_structural_similarity_index_measure(a, b, data_range=255.0)
    assert value(MSSSIMDiversity(setting(fakes)), fakes) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("side, levels", [(8, 1), (11, 1), (12, 2), (32, 2), (64, 3), (128, 4), (175, 4), (176, 5)])
def test_small_images_have_fewer_levels_of_the_same_total_weight(side: int, levels: int) -> None:
    chosen = options(side)["betas"]
    assert len(chosen) == levels
    assert sum(chosen) == pytest.approx(sum(WEIGHTS) if levels == 5 else 1)
    fakes = images(4, side=side)
    assert 0 <= value(MSSSIMDiversity(setting(fakes)), fakes) < 1
    assert value(MSSSIMDiversity(setting(fakes)), fakes[:1].repeat(4, 1, 1, 1)) == pytest.approx(1)


def test_one_level_is_plain_ssim() -> None:
    fakes = images(2, side=11)
    a, b = fakes.float().split(1)
    expected = structural_similarity_index_measure(a, b, data_range=255.0)
    assert value(MSSSIMDiversity(setting(fakes)), fakes) == pytest.approx(max(float(expected), 0), rel=1e-5)


def test_classes_that_repeat_one_image_each_collapse_within_classes_alone() -> None:
    labels = torch.arange(40) % 4
    fakes = images(4)[labels]
    assert value(IntraMSSSIM(setting(fakes, 4)), fakes, labels) == pytest.approx(1)
    assert value(MSSSIMDiversity(setting(fakes)), fakes) < 0.9


def test_batches_and_real_images_do_not_matter_and_the_number_of_pairs_does() -> None:
    fakes = images(30)
    expected = value(MSSSIMDiversity(setting(fakes)), fakes, batch_size=30)
    metric = MSSSIMDiversity(setting(fakes))
    metric.update(images(9, seed=3), real=True)
    assert value(metric, fakes, batch_size=7) == expected
    assert value(MSSSIMDiversity(setting(fakes), pairs=3), fakes) != expected


def test_too_few_samples_for_a_pair_and_images_without_a_window_are_refused() -> None:
    with pytest.raises(UserError, match=r"9 samples of 9 classes may hold none: set evaluation\.num_fakes to 10"):
        IntraMSSSIM(setting(images(9), 9))
    with pytest.raises(UserError, match="needs images of 4 pixels at least, and these have 3"):
        MSSSIMDiversity(setting(images(9, side=3)))


@pytest.mark.parametrize("channels", [1, 3])
def test_lpips_is_torchmetrics_of_the_pairs(seeded: Path, channels: int) -> None:
    fakes = images(2, side=64, channels=channels)
    a, b = (fakes.expand(-1, 3, -1, -1).float() / 127.5 - 1).split(1)
    expected = float(learned_perceptual_image_patch_similarity(a, b, net_type="alex"))
    assert expected > 0
    assert value(LPIPSDiversity(setting(fakes)), fakes) == pytest.approx(expected, rel=1e-5)


def test_lpips_is_zero_of_equal_images_symmetric_and_enlarges_small_ones(seeded: Path) -> None:
    distance = LPIPS("alex", "lpips")
    a, b = (images(3, side=16, seed=seed).float() / 127.5 - 1 for seed in (0, 1))
    assert torch.equal(distance(a, a), torch.zeros(3))
    torch.testing.assert_close(distance(a, b), distance(b, a))
    large = torch.nn.functional.interpolate(a, (64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(distance(a, b), distance(large, b))


def test_lpips_within_classes_sees_a_collapse(seeded: Path) -> None:
    labels = torch.arange(12) % 2
    fakes = images(2)[labels]
    assert value(IntraLPIPS(setting(fakes, 2)), fakes, labels) == pytest.approx(0, abs=1e-7)
    assert value(LPIPSDiversity(setting(fakes)), fakes) > 0


def test_building_lpips_leaves_the_random_state(seeded: Path) -> None:
    before = torch.random.get_rng_state()
    LPIPS("alex", "lpips")
    assert torch.equal(before, torch.random.get_rng_state())


def test_missing_weights_are_asked_for_by_file_place_and_address(hub: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be downloaded from http.*alexnet.*put the file there") as caught:
        LPIPSDiversity(setting(images()))
    assert str(hub) in str(caught.value)


def test_other_files_under_the_name_are_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.parent.mkdir()
    torch.save({"features.0.weight": torch.zeros(3)}, hub)
    with pytest.raises(UserError, match="is not the published file"):
        LPIPSDiversity(setting(images()))
    monkeypatch.setattr(weights, "sha256", lambda path: "7be5be79")
    with pytest.raises(UserError, match="does not hold the weights of alex"):
        LPIPSDiversity(setting(images()))


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"weights")
    assert weights.sha256(tmp_path / "file") == hashlib.sha256(b"weights").hexdigest()


def test_lpips_takes_grey_or_colour_and_known_backbones(hub: Path) -> None:
    with pytest.raises(UserError, match="takes images with 1 or 3 channels"):
        LPIPSDiversity(setting(images(channels=2)))
    with pytest.raises(UserError, match=r"metrics\.lpips\.net=resnet is not known: choose alex, vgg or squeeze"):
        LPIPSDiversity(setting(images()), net="resnet")
    assert set(lpips.BACKBONES) == {"alex", "vgg", "squeeze"}
