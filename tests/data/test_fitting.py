"""Pictures of another shape than the images': what is kept of them, by crop, pad and stretch, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_lightning.data import Digits, Field, Folder
from gan_lightning.data.files import FileData
from gan_lightning.data.image_data import SquareImage, SquareMap, SquareMask, resize, resize_nearest
from gan_lightning.data.sources import FileImages, Files
from gan_lightning.errors import UserError
from tests.cli.compositions import compose

LEVELS = (60, 120, 180, 240)  # of the corners, in reading order; the middle is 30
WAYS = ("crop", "pad", "stretch")


def marked(height: int, width: int) -> np.ndarray:
    """Return a picture whose corners, a quarter of each side, have levels of their own."""
    pixels = np.full((height, width), 30, np.uint8)
    high, wide = height // 4, width // 4
    places = [(0, 0), (0, width - wide), (height - high, 0), (height - high, width - wide)]
    for (top, left), level in zip(places, LEVELS, strict=True):
        pixels[top : top + high, left : left + wide] = level
    return pixels


def save(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def corners(image: torch.Tensor) -> list[int]:
    """Return the levels two pixels inside the corners of `(1, H, W)`, in reading order."""
    return [int(image[0, row, column]) for row in (1, -2) for column in (1, -2)]


def test_stretch_brings_corners_to_corners(tmp_path: Path) -> None:
    for shape in ((40, 40), (40, 200), (90, 30)):
        image = SquareImage((32, 64), 1, fit="stretch")(save(marked(*shape), tmp_path / "x.png"))
        assert image.shape == (1, 32, 64) and all(abs(a - b) <= 3 for a, b in zip(corners(image), LEVELS, strict=True))
        assert int(image[0, 16, 32]) == 30


@pytest.mark.parametrize(
    ("shape", "bars"),  # (height, width) of the picture -> black rows above, and columns on the left
    [((40, 40), (0, 16)), ((40, 80), (0, 0)), ((40, 160), (8, 0)), ((80, 20), (0, 28)), ((10, 10), (0, 16))],
)
def test_pad_keeps_all_between_black_bars(tmp_path: Path, shape: tuple[int, int], bars: tuple[int, int]) -> None:
    image = SquareImage((32, 64), 1, fit="pad")(save(marked(*shape), tmp_path / "x.png"))
    rows, columns = bars
    inner = image[:, rows : 32 - rows, columns : 64 - columns]
    assert image.shape == (1, 32, 64) and int(inner.min()) > 0
    assert int(image.long().sum()) == int(inner.long().sum())  # all else is black
    assert all(abs(a - b) <= 40 for a, b in zip(corners(inner), LEVELS, strict=True))


def test_crop_keeps_the_middle_in_its_own_shape(tmp_path: Path) -> None:
    wide, tall = marked(32, 128), marked(128, 64)
    assert torch.equal(SquareImage((32, 64), 1)(save(wide, tmp_path / "x.png"))[0], torch.from_numpy(wide[:, 32:96]))
    assert torch.equal(SquareImage((32, 64), 1)(save(tall, tmp_path / "y.png"))[0], torch.from_numpy(tall[48:80]))


def test_a_square_is_cut_out_first_and_then_fitted(tmp_path: Path) -> None:
    pixels = marked(64, 128)
    path = save(pixels, tmp_path / "x.png")
    middle = torch.from_numpy(pixels[16:48, 48:80])
    assert torch.equal(SquareImage(32, 1, crop=32)(path)[0], middle)
    assert torch.equal(SquareImage((16, 32), 1, crop=32)(path)[0], middle[8:24])
    padded = SquareImage((32, 64), 1, crop=32, fit="pad")(path)[0]
    assert torch.equal(padded[:, 16:48], middle) and not padded[:, :16].any() and not padded[:, 48:].any()


@pytest.mark.parametrize("fit", WAYS)
@pytest.mark.parametrize("shape", [(40, 40), (24, 90), (90, 24), (17, 31)])
def test_masks_and_maps_lie_where_their_picture_lies(tmp_path: Path, fit: str, shape: tuple[int, int]) -> None:
    """A bright block in the picture, a hole in the mask and a class in the map are the same block in all three."""
    classes = np.zeros(shape, np.uint8)
    classes[shape[0] // 4 : shape[0] // 2, shape[1] // 3 : shape[1] * 2 // 3] = 3
    for size in ((32, 64), (64, 32), 32):
        image = SquareImage(size, 1, None, fit=fit)(save(classes * 80, tmp_path / "x.png"))[0]
        hole = SquareMask(size, fit=fit)(save((classes > 0) * np.uint8(255), tmp_path / "m.png"))[0]
        parts = SquareMap(size, fit=fit)(save(classes, tmp_path / "p.png"))
        assert parts.shape == image.shape == hole.shape and set(parts.unique().tolist()) == {0, 3}
        assert torch.equal(hole, parts > 0)
        assert ((image > 120) == hole).float().mean() > 0.94  # the picture's edges are soft


@pytest.mark.parametrize("fit", WAYS)
@pytest.mark.parametrize("size", [(32, 64), (24, 16), 20])
def test_tensors_are_fitted_as_files_are(tmp_path: Path, fit: str, size: object) -> None:
    pixels = marked(28, 28)
    from_file = SquareImage(size, 1, fit=fit)(save(pixels, tmp_path / "x.png"))
    from_memory = resize(torch.from_numpy(pixels)[None, None], size, fit)[0]
    assert from_memory.shape == from_file.shape and (from_memory.int() - from_file.int()).abs().float().mean() < 3
    parts = resize_nearest(torch.from_numpy(pixels)[None], size, fit)[0]
    there = SquareMap(size, fit=fit)(save(pixels, tmp_path / "p.png"))
    assert parts.shape == there.shape and (parts != there).float().mean() < 0.1
    holes = resize_nearest(torch.from_numpy(pixels > 30)[None, None], size, fit)
    assert holes.dtype == torch.bool and torch.equal(holes[0, 0], parts > 30)


def test_caches_know_squares_by_what_they_were_called_before() -> None:
    assert repr(SquareImage(32, 3)) == "SquareImage(size=32, channels=3, crop=None)"
    assert repr(SquareMask(32)) == "SquareMask(size=32, crop=None)" and repr(SquareMap(32, 5)).endswith("crop=5)")
    told = {repr(SquareImage(size, 3, fit=fit)) for size in (32, (32, 64), (64, 32)) for fit in WAYS}
    assert len(told) == 9


@dataclass(kw_only=True, eq=False, repr=False)
class Masked(FileData):
    """Photographs in one folder and their masks in another."""

    name = "masked"
    splits = ("train",)

    def files(self, split: str) -> FileImages:
        root = Path(str(self.root))
        names = sorted(path.name for path in (root / "photos").iterdir())
        masks = Files(root / "masks", names, SquareMask(self.image_size, self.crop, self.fit))
        return FileImages(root / "photos", names, None, self.transform, {Field("hole", "mask"): masks})


@pytest.mark.parametrize("cache_gib", [1.0, 0])
@pytest.mark.parametrize("fit", WAYS)
def test_a_set_of_files_has_the_shape_and_the_mirrored_masks(tmp_path: Path, fit: str, cache_gib: float) -> None:
    for number in range(4):
        block = np.zeros((20 + number, 30), np.uint8)
        block[:, :12] = 255
        save(block, tmp_path / f"photos/{number}.png")
        save(block, tmp_path / f"masks/{number}.png")
    options = {"image_size": [8, 24], "channels": 1, "batch_size": 4, "num_workers": 0, "mirror": True}
    data = Masked(root=str(tmp_path), fit=fit, cache_gib=cache_gib, **options)
    assert data.image_shape == (1, 8, 24)
    for batch in data.train_dataloader():
        assert batch["image"].shape == batch["hole"].shape == (4, 1, 8, 24)
        assert ((batch["image"] > 127) == batch["hole"].bool()).float().mean() > 0.95


def test_each_way_has_a_cache_of_its_own(tmp_path: Path) -> None:
    save(marked(40, 40), tmp_path / "x.png")
    options = {"root": str(tmp_path), "channels": 1, "batch_size": 1}
    sets = [Folder(image_size=size, fit=fit, **options) for size in (16, [16, 32], [32, 16]) for fit in WAYS]
    assert len({data.fingerprint() for data in sets}) == 9
    assert Folder(image_size=(16, 32), **options).fingerprint() == sets[3].fingerprint()
    assert Folder(image_size=[16, 16], **options).fingerprint() == sets[0].fingerprint()
    images = [data.reference()[0]["image"] for data in sets]
    assert [image.shape[1:] for image in images[::3]] == [(16, 16), (16, 32), (32, 16)]
    assert not torch.equal(images[3], images[4]) and not torch.equal(images[4], images[5])


def test_digits_are_whole_where_they_are_padded() -> None:
    plain = Digits(image_size=16).reference().images
    padded = Digits(image_size=[16, 32], fit="pad").reference().images
    assert torch.equal(padded[..., 8:24], plain) and not padded[..., :8].any() and not padded[..., 24:].any()
    cut = Digits(image_size=(16, 32)).reference().images
    assert cut.shape == padded.shape == Digits(image_size=(16, 32), fit="stretch").reference().images.shape


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fit": "squeeze"}, "data.fit=squeeze is not possible; take crop, pad or stretch."),
        ({"image_size": [8]}, r"data.image_size=\[8\] is not possible; it is a whole number of at least 1, or two"),
        ({"image_size": [8, 0]}, r"data.image_size=\[8,0\] is not possible"),
        ({"image_size": [8, 8, 3]}, r"data.image_size=\[8,8,3\] is not possible"),
    ],
)
def test_what_is_no_size_or_way_is_a_sentence(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Digits(**options)


def test_the_size_flows_from_the_data_to_the_networks() -> None:
    config = compose("data=digits", "model=dcgan", "data.image_size=[16,32]", "data.fit=pad")
    assert config.model.generator.image_size == config.model.discriminator.backbone.image_size == [16, 32]
