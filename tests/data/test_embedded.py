"""Data sets that need no file: digits and the mixtures."""

from __future__ import annotations

import pytest
import torch

from gan_lightning.data import Digits, Grid, Mixture, Ring
from gan_lightning.errors import UserError


def test_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    data = Digits(image_size=8)
    reference = data.reference("train")
    expected = torch.from_numpy(load_digits().images * 255 / 16).round()
    assert torch.equal(torch.stack([reference[i]["image"][0] for i in range(1797)]).double(), expected)
    assert [reference[i]["label"] for i in range(1797)] == load_digits().target.tolist()
    assert data.class_names == list("0123456789") and data.name == "digits"


def test_digits_batches() -> None:
    data = Digits(channels=3)
    data.setup()
    loader = data.train_dataloader()
    batch = next(iter(loader))
    assert len(loader) == 28 and data.num_images == 1797 and data.image_shape == (3, 32, 32)
    assert batch["image"].shape == (64, 3, 32, 32) and batch["image"].dtype == torch.uint8
    assert torch.equal(batch["image"][:, 0], batch["image"][:, 2])
    assert "label" not in next(iter(Digits(num_classes=0).train_dataloader()))


def test_fingerprint_is_of_content_and_transform() -> None:
    same = {Digits().fingerprint("train"), Digits(batch_size=7, seed=5, mirror=True).fingerprint("train")}
    different = {Digits(image_size=16).fingerprint(), Digits(channels=3).fingerprint(), Ring().fingerprint()}
    assert len(same) == 1 and len(different) == 3 and not same & different
    points = dict(num_points=50, batch_size=5)
    assert Ring(**points, seed=1).fingerprint() == Ring(**points, seed=1).fingerprint()
    assert Ring(**points, seed=1).fingerprint() != Ring(**points, seed=2).fingerprint()
    assert Ring(**points).fingerprint("train") != Ring(**points).fingerprint("test")


@pytest.mark.parametrize(("data", "count"), [(Ring(), 8), (Grid(), 25)])
def test_mixture_statistics(data: Mixture, count: int) -> None:
    points, modes = data.reference("train").images, data.modes()
    assert points.shape == (100_000, 2) and points.dtype == torch.float32 and modes.shape == (count, 2)
    distance, nearest = torch.cdist(points, modes).min(dim=1)
    share = torch.bincount(nearest, minlength=count) / len(points)
    assert (share - 1 / count).abs().max() < 5 * (1 / count / len(points)) ** 0.5
    deviation = points - modes[nearest]
    assert (deviation.std(0) / data.std - 1).abs().max() < 0.01
    assert deviation.mean(0).abs().max() < 5 * data.std / len(points) ** 0.5
    assert (distance < 3 * data.std).float().mean().item() == pytest.approx(0.98889, abs=1.7e-3)  # 1 - exp(-9/2)


def test_mode_positions() -> None:
    assert torch.allclose(Ring().modes().norm(dim=1), torch.ones(8))
    neighbours = (Ring().modes() - Ring().modes().roll(1, 0)).norm(dim=1)
    assert torch.allclose(neighbours, torch.full((8,), 2 * torch.sin(torch.tensor(torch.pi / 8))))
    assert sorted(Grid().modes().tolist()) == [[x, y] for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "data.image_size=0 is not possible; it is a whole number of at least 1"),
        ({"image_size": 32.5}, "data.image_size=32.5 is not possible"),
        ({"batch_size": -1}, "data.batch_size=-1 is not possible"),
        ({"num_workers": -1}, "data.num_workers=-1 is not possible; it is a whole number of at least 0"),
        ({"channels": 2}, "data.channels=2 is not possible; take 1 .* or 3"),
        ({"on_device": "gpu"}, "data.on_device=gpu is not possible; take auto, true or false"),
    ],
)
def test_option_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Digits(**options)


def test_errors_of_embedded_sets() -> None:
    with pytest.raises(UserError, match=r"data=digits has no split 'test'; there are: 'train'"):
        Digits().reference("test")
    with pytest.raises(UserError, match=r"1797 images do not fill a batch"):
        Digits(batch_size=2000).setup()
    with pytest.raises(UserError, match=r"has 10 classes; set data.num_classes to that, not 5"):
        Digits(num_classes=5).setup()
    with pytest.raises(UserError, match=r"data=ring holds unlabelled points"):
        Ring(mirror=True)
    with pytest.raises(UserError, match=r"data.std above 0"):
        Grid(std=0)
