"""Fields of a batch: how each kind is kept, mirrored, resized and made ready, from memory and from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_lightning.data import Digits, Field, GANData, Ring, StackedDigits
from gan_lightning.data.fields import by_name
from gan_lightning.data.files import FileData
from gan_lightning.data.image_data import SquareImage, SquareMap, SquareMask, resize_nearest
from gan_lightning.data.loaders import FileLoader, TensorLoader
from gan_lightning.data.order import GlobalBatches
from gan_lightning.data.prepare import prepare
from gan_lightning.data.sources import FileImages, Files, TensorImages, digest
from gan_lightning.errors import UserError

MASK, MAP = Field("hole", "mask"), Field("parts", "label_map", classes=5)
POINTS, AGE, OTHER = Field("corner", "points"), Field("age", "label"), Field("source")


def sample_numbers(count: int = 40) -> TensorImages:
    """Return samples all of whose fields tell their number n, or a function of it, in the left half."""
    number = torch.arange(count)
    grid = torch.zeros(count, 1, 2, 4, dtype=torch.uint8)
    grid[..., :2] = (number + 1).to(torch.uint8)[:, None, None, None]
    further = {
        OTHER: (grid * 2).expand(-1, 3, -1, -1).contiguous(),
        MASK: grid > 0,
        MAP: (grid[:, 0] % 5).contiguous(),
        POINTS: torch.stack([number * 0.5, number * 2.0], dim=1),
        AGE: number * 3,
    }
    return TensorImages(grid, number, further=further)


def assert_whole(batch: dict[str, Tensor]) -> None:
    """Compare the fields of each sample with its number, and all that lie on a grid with the side of the image."""
    number = batch["label"]
    right = batch["image"][:, 0, 0, 0] == 0  # mirrored: the numbers are in the right half
    assert torch.equal(batch["image"].amax((1, 2, 3)).long(), number + 1) and torch.equal(batch["age"], number * 3)
    assert torch.equal(batch["corner"], torch.stack([number * 0.5, number * 2.0], dim=1))
    left = torch.where(right.view(-1, 1, 1, 1), batch["image"].flip(-1), batch["image"])
    for name, expected in {"source": left * 2, "hole": left > 0, "parts": left[:, 0] % 5}.items():
        values = torch.where(right.view(-1, *[1] * (batch[name].ndim - 1)), batch[name].flip(-1), batch[name])
        assert torch.equal(values, expected.expand_as(values)), name


@pytest.mark.parametrize("kind", ["tensor", "0", "2"])
def test_all_fields_of_a_sample_are_shuffled_and_mirrored_as_one(kind: str) -> None:
    source, batches = sample_numbers(), GlobalBatches(40, 8, seed=5, mirror=True)
    loader = TensorLoader(source, batches) if kind == "tensor" else FileLoader(source, batches, int(kind))
    seen, mirrored = [], 0
    for batch in loader:
        assert list(batch) and set(batch) == {"image", "label", "source", "hole", "parts", "corner", "age"}
        assert_whole(batch)
        seen += batch["label"].tolist()
        mirrored += int((batch["image"][:, 0, 0, 0] == 0).sum())
    assert sorted(seen) == list(range(40)) and seen != sorted(seen) and 8 < mirrored < 32


def test_loaders_agree_on_every_field_and_its_type() -> None:
    batches = GlobalBatches(40, 8, seed=2, mirror=True)
    for ours, theirs in zip(
        TensorLoader(sample_numbers(), batches), FileLoader(sample_numbers(), batches), strict=True
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours)


def test_every_field_lies_on_the_device_where_batches_are_made() -> None:
    loader = TensorLoader(sample_numbers(), GlobalBatches(40, 8, seed=2, mirror=True), "meta")
    batch = next(iter(loader))
    assert len(batch) == 7 and {values.device.type for values in batch.values()} == {"meta"}


def test_further_fields_change_neither_order_nor_mirroring() -> None:
    batches, full = GlobalBatches(40, 8, seed=2, mirror=True), sample_numbers()
    plain = TensorImages(full.images, full.labels)
    for with_more, without in zip(TensorLoader(full, batches), TensorLoader(plain, batches), strict=True):
        assert torch.equal(with_more["image"], without["image"]) and torch.equal(with_more["label"], without["label"])


AS_ALWAYS = {  # of all batches of the first epoch, and of the data, before there were further fields
    "digits": ("cc477786e7f305ab", "96c3e1e09f251177"),
    "ring": ("b06d0104d2acdf93", "dcc463b5ae083302"),
    "stacked_digits": ("544e4668301d92cb", "3c978305a7103766"),
}


def of_bytes(loader: TensorLoader | FileLoader) -> str:
    import hashlib

    total = hashlib.blake2b(digest_size=8)
    for batch in loader:
        for name in sorted(batch):
            total.update(name.encode() + str(batch[name].dtype).encode() + batch[name].contiguous().numpy().tobytes())
    return total.hexdigest()


def test_sets_of_images_and_labels_have_the_batches_that_they_always_had() -> None:
    assert GlobalBatches(10, 3, seed=7, mirror=True).epoch(4).tolist() == [[17, 6, 19], [14, 5, 18], [0, 11, 3]]
    assert GlobalBatches(10, 4, 7, False, 1, 2).epoch(0).tolist() == [[3, 7], [5, 2]]
    sets: list[GANData] = [Digits(mirror=True, seed=3, image_size=8), Ring(num_points=1000, batch_size=64, seed=1)]
    sets.append(StackedDigits(num_stacks=200, batch_size=16, image_size=8, mirror=True))
    for data in sets:
        loaders = data.train_dataloader(), FileLoader(data.source("train"), data.batches())
        assert [of_bytes(loader) for loader in loaders] == [AS_ALWAYS[data.name][0]] * 2, data.name
        assert data.fingerprint() == AS_ALWAYS[data.name][1], data.name


def test_a_data_module_says_what_its_batches_consist_of() -> None:
    assert Digits().fields == {"image": Field("image"), "label": Field("label", "label")}
    assert Digits(num_classes=0).fields == {"image": Field("image")}
    assert Ring(num_points=600).fields == {"image": Field("image", "points")}


# Made ready for a network --------------------------------------------------------------------------------------------


def ready(name: str, values: Tensor, *fields: Field, layout: torch.memory_format = torch.channels_last) -> Tensor:
    return prepare({name: values}, by_name(fields), layout)[name]


def test_pictures_become_floats_between_minus_one_and_one() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 4, 8, 8)
    for field in ((), (Field("photo"),)):
        values = ready("photo", pixels, *field)
        assert values.dtype == torch.float32 and values.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(values.flatten(), torch.arange(256) / 127.5 - 1)


def test_masks_become_zeros_and_ones_whatever_their_whites_are() -> None:
    hole = torch.tensor([[0, 1], [1, 0]]).view(1, 1, 2, 2)
    for stored in (hole.bool(), hole.byte(), hole.byte() * 255):
        assert ready("hole", stored, MASK).dtype == torch.float32
        assert torch.equal(ready("hole", stored, MASK), hole.float())
        assert torch.equal(ready("mask", stored), hole.float())  # by its name alone


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_label_maps_become_one_hot(dtype: torch.dtype, layout: torch.memory_format) -> None:
    classes = torch.randint(5, (3, 4, 6), generator=torch.Generator().manual_seed(0))
    maps = ready("parts", classes.to(dtype), MAP, layout=layout)
    assert maps.dtype == torch.float32 and maps.shape == (3, 5, 4, 6) and maps.is_contiguous(memory_format=layout)
    assert torch.equal(maps.sum(1), torch.ones(3, 4, 6)) and torch.equal(maps.argmax(1), classes)


def test_labels_and_points_stay_as_they_are() -> None:
    batch = {"label": torch.arange(3), "age": torch.arange(3), "corner": torch.randn(3, 2), "image": torch.randn(3, 2)}
    found = prepare(batch, by_name([AGE, POINTS, Field("image", "points")]), torch.channels_last)
    assert all(found[name] is batch[name] for name in batch)


def test_a_batch_may_be_prepared_twice() -> None:
    source = sample_numbers(8)
    fields = by_name(source.fields)
    once = prepare(source.gather(torch.arange(8), mirrored=False), fields, torch.channels_last)
    twice = prepare(once, fields, torch.channels_last)
    assert all(torch.equal(once[name], twice[name]) for name in once) and once["parts"].shape == (8, 5, 2, 4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "movie"}, "cannot be of the kind 'movie'; there are: picture, mask, label, label_map, points"),
        ({"kind": "label_map"}, "classes=0; a label_map has the number of its classes"),
        ({"kind": "mask", "classes": 2}, "of the kind mask has classes=2"),
    ],
)
def test_a_field_that_cannot_be_is_one_sentence(options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Field("x", **options)


def test_fields_that_do_not_fit_their_images_are_one_sentence() -> None:
    images = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
    with pytest.raises(UserError, match="Field 'hole' has 3 entries for 4 images"):
        TensorImages(images, further={MASK: images[:3] > 0})
    with pytest.raises(UserError, match="'parts' has the class 5, but its classes are 0 to 4"):
        TensorImages(images, further={MAP: torch.full((4, 2, 2), 5)})
    with pytest.raises(UserError, match="'parts' has the class -1"):
        TensorImages(images, further={MAP: torch.full((4, 2, 2), -1)})
    with pytest.raises(UserError, match="Field 'hole' has 1 entries for 2 images"):
        FileImages(Path(), ["a", "b"], None, SquareImage(8, 3), {MASK: Files(Path(), ["a"], SquareMask(8))})


# From files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), [(20, 12), (12, 20), (7, 7), (50, 64)])
def test_masks_and_maps_are_framed_as_pictures_and_have_no_values_in_between(
    tmp_path: Path, width: int, height: int
) -> None:
    stream = np.random.default_rng(0)
    for side in (16, 5):
        classes = stream.integers(0, 5, (height, width), dtype=np.uint8)
        Image.fromarray(classes).save(tmp_path / "map.png")
        Image.fromarray((classes > 2).astype(np.uint8) * 255).save(tmp_path / "mask.png")
        parts, hole = SquareMap(side)(tmp_path / "map.png"), SquareMask(side)(tmp_path / "mask.png")
        assert parts.shape == (side, side) and parts.dtype == torch.uint8
        assert hole.shape == (1, side, side) and hole.dtype == torch.bool and torch.equal(hole[0], parts > 2)
        edge = min(width, height)
        top, left = (height - edge) // 2, (width - edge) // 2
        cut = torch.from_numpy(classes[top : top + edge, left : left + edge])
        assert torch.equal(parts, resize_nearest(cut[None], side)[0])


def test_palettes_and_sixteen_bits_are_classes(tmp_path: Path) -> None:
    classes = np.array([[0, 1], [2, 3]], np.uint8)
    palette = Image.fromarray(classes, "P")
    palette.putpalette([90, 0, 0, 0, 90, 0, 0, 0, 90, 7, 7, 7])
    palette.save(tmp_path / "p.png")
    assert SquareMap(2)(tmp_path / "p.png").tolist() == classes.tolist()
    Image.fromarray(classes.astype(np.uint16) * 300).save(tmp_path / "i.png")
    assert SquareMap(2)(tmp_path / "i.png").tolist() == [[0, 300], [600, 900]]


def test_what_is_no_mask_or_map_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "ones.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "colours.png")
    with pytest.raises(
        UserError, match=r"ones\.png cannot be read .*black and white, 0 and 255, .* brightest pixel is 1"
    ):
        SquareMask(4)(tmp_path / "ones.png")
    with pytest.raises(UserError, match=r"colours\.png cannot be read .*one number a pixel, .*mode RGB"):
        SquareMap(4)(tmp_path / "colours.png")
    assert not SquareMask(4)(tmp_path / "colours.png").any()  # all black is a mask without a hole


@dataclass(kw_only=True, eq=False, repr=False)
class Masked(FileData):
    """Photographs in one folder, and their masks and label maps in two others."""

    classes: int = 5
    name = "masked"
    splits = ("train",)

    def files(self, split: str) -> FileImages:
        root = Path(str(self.root))
        names = sorted(path.name for path in (root / "photos").iterdir())
        further = {
            MASK: Files(root / "masks", names, SquareMask(self.image_size, self.crop)),
            Field("parts", "label_map", self.classes): Files(
                root / "maps", names, SquareMap(self.image_size, self.crop)
            ),
        }
        return FileImages(root / "photos", names, None, self.transform, further)


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Return a folder of 12 photographs, grey of level 20 n, with maps of class n % 5 and masks where n is odd."""
    for folder in ("photos", "masks", "maps"):
        (tmp_path / folder).mkdir()
    for number in range(12):
        levels = {"photos": 20 * number, "masks": number % 2 * 255, "maps": number % 5}
        for folder, level in levels.items():
            pixels = np.full((12, 9), level, np.uint8)
            pixels[:, 5:] = 0  # the right side is 0 in each
            Image.fromarray(pixels).save(tmp_path / folder / f"{number:02d}.png")
    return tmp_path


OPTIONS = {"image_size": 8, "channels": 1, "batch_size": 4, "mirror": True, "num_workers": 0}


@pytest.mark.parametrize("cache_gib", [1.0, 0])
def test_photographs_come_with_their_masks_and_maps(masked: Path, cache_gib: float) -> None:
    seen = []
    for _ in range(2):  # the second time from the cache
        data = Masked(root=str(masked), cache_gib=cache_gib, **OPTIONS)
        data.setup()
        assert set(data.fields) == {"image", "hole", "parts"} and data.fields["parts"].classes == 5
        for batch in data.train_dataloader():
            level = torch.maximum(batch["image"][:, 0, 4, 0], batch["image"][:, 0, 4, -1])  # far from the overshoot
            number = level.float().div(20).round().long()
            assert torch.equal(batch["hole"].any(-1).any(-1)[:, 0], number % 2 == 1)
            assert torch.equal(batch["parts"].amax((1, 2)).long(), number % 5)
            lit = batch["hole"][:, 0] & (batch["parts"] > 0)
            assert ((batch["image"][:, 0] > 0) | ~lit).all() and lit.any()
            seen += number.tolist()
    assert sorted(seen) == sorted([*range(12)] * 2)


@pytest.mark.parametrize("cache_gib", [1.0, 0])
def test_a_sample_without_a_readable_mask_is_left_out_whole(masked: Path, cache_gib: float) -> None:
    (masked / "masks/03.png").write_text("no image")
    with pytest.raises(UserError, match=r"masks/03\.png cannot be read"):
        Masked(root=str(masked), cache_gib=cache_gib, **OPTIONS).setup()
    source = Masked(root=str(masked), cache_gib=cache_gib, on_error="skip", **OPTIONS).source("train")
    batch = source.gather(torch.arange(11), mirrored=False)
    assert len(source) == 11 and 60 not in batch["image"] and torch.equal(
        batch["parts"].amax((1, 2)).long(), torch.tensor([n % 5 for n in range(12) if n != 3])
    )  # fmt: skip


def test_a_class_too_many_is_told_and_skipped_by_nobody(masked: Path) -> None:
    for cache_gib in (1.0, 0):
        data = Masked(root=str(masked), classes=3, cache_gib=cache_gib, on_error="skip", **OPTIONS)
        with pytest.raises(UserError, match=r"'parts' has the class [34], but its classes are 0 to 2"):
            list(data.train_dataloader())


def test_the_fingerprint_follows_every_field(masked: Path) -> None:
    def found(**options: object) -> str:
        return Masked(root=str(masked), **OPTIONS, **options).fingerprint()

    first = found()
    assert found() == first and found(classes=6) != first
    Image.new("L", (9, 12), 255).save(masked / "masks/02.png")
    assert found() != first
    images = torch.zeros(2, 1, 2, 2, dtype=torch.uint8)
    with_mask = TensorImages(images, further={MASK: images > 0}).fingerprint
    assert with_mask != TensorImages(images).fingerprint != digest()
    assert with_mask != TensorImages(images, further={MASK: images < 1}).fingerprint
    assert with_mask != TensorImages(images, further={Field("other", "mask"): images > 0}).fingerprint
