"""Folders of images: what is read, how, and what is said of what cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from gan_lightning.data import Folder
from gan_lightning.data.image_data import SquareImage, resize, set_channels
from gan_lightning.data.sources import FileImages, TensorImages
from gan_lightning.errors import UserError

SIZE = {"image_size": 8, "batch_size": 2, "num_workers": 0}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a smooth colour picture: noise that survives resizing and JPEG."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def fill(root: Path, count: int = 4, ending: str = "png") -> Path:
    for number in range(count):
        save(picture(20 + number, 16, number), root / f"{number}.{ending}")
    return root


def images(data: Folder) -> torch.Tensor:
    reference = data.reference("train")
    return torch.stack([reference[i]["image"] for i in range(len(reference))])


def test_finds_images_at_any_depth_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/c.jpeg", "a/deep/er/d.png", "e.webp", "f.bmp"):
        save(picture(20, 20), tmp_path / name)
    save(picture(20, 20), tmp_path / ".hidden.png")
    save(picture(20, 20), tmp_path / ".cache/x.png")
    save(picture(20, 20), tmp_path / "__MACOSX/x.png")
    save(picture(20, 20), tmp_path / "inside/x.gif")
    (tmp_path / "notes.txt").write_text("no image")
    os.symlink(tmp_path / "a", tmp_path / "a/loop")
    assert Folder(root=str(tmp_path), **SIZE).files("train").names == [
        "a/c.jpeg", "a/deep/er/d.png", "b.JPG", "e.webp", "f.bmp", "inside/x.gif",
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "height"), [(100, 60), (60, 100), (5, 9), (31, 30)])
def test_shorter_side_is_resized_and_the_middle_kept(tmp_path: Path, width: int, height: int) -> None:
    image = picture(width, height)
    ours = SquareImage(16, 3)(save(image, tmp_path / "x.png"))
    bicubic = v2.InterpolationMode.BICUBIC
    theirs = v2.Compose([v2.Resize(16, bicubic), v2.CenterCrop(16), v2.PILToTensor()])(image)
    assert ours.shape == (3, 16, 16) and ours.dtype == torch.uint8
    assert (ours.int() - theirs.int()).abs().float().mean() < 8  # theirs is off by part of a pixel: it rounds


def test_resizing_does_not_alias(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = SquareImage(16, 3)(save(Image.fromarray(stripes), tmp_path / "x.png")).float()
    assert (small[:, :, 2:-2] - 127.5).abs().max() < 3  # the nearest pixels alone would be all 0 or all 255


@pytest.mark.parametrize("size", [7, 16, 50])
def test_tensors_are_resized_as_pillow_does(size: int) -> None:
    pixels = torch.randint(256, (3, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ours = resize(pixels, size)
    for image, resized in zip(pixels, ours, strict=True):
        pil = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BICUBIC)
        assert (torch.from_numpy(np.array(pil)).permute(2, 0, 1).int() - resized.int()).abs().max() <= 1


def test_grey_of_tensors_is_that_of_pillow() -> None:
    pixels = torch.randint(256, (2, 3, 9, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pil = [np.array(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")) for image in pixels]
    assert (set_channels(pixels, 1)[:, 0].int() - torch.from_numpy(np.stack(pil)).int()).abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr", "webp"])
def test_any_mode_reads_as_its_colours(tmp_path: Path, mode: str, channels: int) -> None:
    grey = Image.new("RGB", (12, 12), (204, 204, 204))
    made = {
        "1": Image.new("1", (12, 12), 1),
        "I;16": Image.fromarray(np.full((12, 12), 204 * 257, np.uint16)),
        "webp": grey,
    }
    ending = {"CMYK": "jpg", "YCbCr": "jpg", "webp": "webp"}.get(mode, "png")
    image = made[mode] if mode in made else grey.convert(mode)
    pixels = SquareImage(8, channels)(save(image, tmp_path / f"x.{ending}"))
    assert pixels.shape == (channels, 8, 8)
    assert (pixels.int() - (255 if mode == "1" else 204)).abs().max() <= 2


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 4, 8))
    palette = image.quantize(4)
    for name, stored in (("a.png", image), ("b.webp", image), ("c.png", palette)):
        pixels = SquareImage(8, 3)(save(stored, tmp_path / name, **({"lossless": True} if "webp" in name else {})))
        assert pixels[:, 0, 0].tolist() == [0, 0, 255] and pixels[:, 0, 7].tolist() == [255, 255, 255], name


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    upright = picture(24, 24)
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to show
    turned = SquareImage(24, 3)(save(lying, tmp_path / "x.png", exif=exif))
    assert torch.equal(turned, SquareImage(24, 3)(save(upright, tmp_path / "y.png")))


def test_folders_are_classes(tmp_path: Path) -> None:
    for name in ("dog/1.png", "cat/1.png", "cat/more/2.png", "eel/1.png"):
        save(picture(9, 9), tmp_path / name)
    data = Folder(root=str(tmp_path), labels="folders", num_classes=3, **SIZE)
    reference = data.reference("train")
    assert [reference[i]["label"] for i in range(4)] == [0, 0, 1, 2] and data.class_names == ["cat", "dog", "eel"]
    (tmp_path / "ant").mkdir()
    with pytest.raises(UserError, match=r"ant holds no images; with data.labels=folders each folder is a class"):
        Folder(root=str(tmp_path), labels="folders", num_classes=4, **SIZE).setup()
    (tmp_path / "ant").rmdir()
    stray = save(picture(9, 9), tmp_path / "stray.png")
    with pytest.raises(UserError, match=rf"{stray} lies in no class folder"):
        Folder(root=str(tmp_path), labels="folders", num_classes=3, **SIZE).setup()


def test_memory_and_worker_processes_give_the_same_batches(tmp_path: Path) -> None:
    root = str(fill(tmp_path, 7))
    options = dict(root=root, image_size=8, batch_size=3, mirror=True)
    small, large = Folder(**options), Folder(**options, cache_gib=0, num_workers=1)
    assert isinstance(small.source("train"), TensorImages) and isinstance(large.source("train"), FileImages)
    for ours, theirs in zip(small.train_dataloader(), large.train_dataloader(), strict=True):
        assert torch.equal(ours["image"], theirs["image"]) and ours["image"].shape == (3, 3, 8, 8)


def test_images_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(fill(tmp_path))
    before = images(Folder(root=root, **SIZE))
    monkeypatch.setattr(SquareImage, "__call__", lambda *_: pytest.fail("decoded again"))
    assert torch.equal(images(Folder(root=root, **SIZE)), before)


def test_fingerprint_follows_files_and_transform_only(tmp_path: Path) -> None:
    fill(tmp_path)
    root = str(tmp_path)
    first = Folder(root=root, **SIZE).fingerprint()
    assert Folder(root=root, image_size=8, batch_size=3, mirror=True, seed=4).fingerprint() == first
    assert Folder(root=root, **SIZE, crop=5).fingerprint() != first
    assert Folder(root=root, **SIZE, channels=1).fingerprint() != first
    save(picture(33, 20, seed=9), tmp_path / "0.png")
    changed = Folder(root=root, **SIZE).fingerprint()
    (tmp_path / "1.png").unlink()
    assert len({first, changed, Folder(root=root, **SIZE).fingerprint()}) == 3


def broken(root: Path) -> Path:
    """Return a folder of 6 images, one of them truncated and one no image at all."""
    fill(root, 6, "jpg")
    whole = (root / "2.jpg").read_bytes()
    (root / "2.jpg").write_bytes(whole[: -len(whole) // 8])  # the header is whole
    (root / "4.jpg").write_text("not an image")
    return root


@pytest.mark.parametrize("cache_gib", [1.0, 0])
def test_unreadable_images_are_skipped_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture, cache_gib: float
) -> None:
    root = broken(tmp_path)
    for _ in range(2):  # the second time from the cache
        data = Folder(root=str(root), on_error="skip", cache_gib=cache_gib, **SIZE)
        assert data.num_images == 4 and len(data.train_dataloader()) == 2
        assert "folder: 2 of 6 images cannot be read and are left out, first 2.jpg" in capsys.readouterr().out
        expected = torch.stack([SquareImage(8, 3)(root / f"{n}.jpg") for n in (0, 1, 3, 5)])
        assert torch.equal(images(data), expected)


@pytest.mark.parametrize(("cache_gib", "named"), [(1.0, "2.jpg"), (0, "4.jpg")])
def test_unreadable_image_stops_before_training(tmp_path: Path, cache_gib: float, named: str) -> None:
    root = broken(tmp_path)
    for _ in range(2):
        with pytest.raises(UserError, match=rf"Image {root / named} cannot be read \(.*or set data.on_error=skip"):
            Folder(root=str(root), cache_gib=cache_gib, **SIZE).setup()


@pytest.mark.parametrize("workers", [0, 1])
def test_image_that_breaks_later_is_named_too(tmp_path: Path, workers: int) -> None:
    data = Folder(root=str(fill(tmp_path)), image_size=8, batch_size=4, num_workers=workers, cache_gib=0)
    data.setup()
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:60])
    with pytest.raises(UserError, match=rf"^Image {tmp_path / '3.png'} cannot be read"):
        list(data.train_dataloader())


def test_errors_of_folders(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "x.txt").write_text("")
    bad = empty.parent / "bad"
    bad.mkdir()
    (bad / "x.png").write_text("")
    cases = {
        r"data=folder needs the folder: data.root=/my/images\.": {},
        r"data.root=/no/such is not a folder": {"root": "/no/such"},
        r"data.root=.*empty holds no images; looked .* for .jpg, .jpeg, .png, .webp, .bmp, .gif, .tif.*\.": {
            "root": str(empty)
        },
        r"data=folder: no image under .*bad can be read": {"root": str(bad), "on_error": "skip"},
        r"data.on_error=ignore is not possible; take raise or skip": {"root": "x", "on_error": "ignore"},
        r"data.labels=names is not possible; take folders": {"root": "x", "labels": "names"},
        r"data.crop=0 is not possible": {"root": "x", "crop": 0},
        r"4 images do not fill a batch": {"root": str(fill(tmp_path / "four")), "batch_size": 64},
    }
    for message, options in cases.items():
        with pytest.raises(UserError, match=message):
            Folder(**{**SIZE, **options}).setup()
