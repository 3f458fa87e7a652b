"""One listing and one decoding: training, evaluation and its Python call see the same pixels of any folder."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features
from test_files import SIZE, fill, images, picture, save
from torch import Tensor

from gan_lightning.data import CelebA, Folder
from gan_lightning.data.celeba import IMAGES, PARTITION
from gan_lightning.data.image_data import SquareImage
from gan_lightning.data.listing import listed, top_folders
from gan_lightning.data.names import endings
from gan_lightning.errors import UserError
from gan_lightning.evaluation.image_sets import as_images, from_folder

UPRIGHT = ["a.png", "b.JPG", "c.jpg", "d.gif", "e.tif", "f.PNG", "g.png", "h.webp", "linked/0.png"]


def nasty(root: Path) -> Path:
    """Return a folder with all that stumbled one way or the other; every picture is 12 x 20 when it is upright."""
    exif = {turn: Image.Exif() for turn in (3, 6)}
    for turn, data in exif.items():
        data[0x0112] = turn
    upright = [picture(12, 20, number) for number in range(9)]
    save(upright[0].rotate(180), root / "a.png", exif=exif[3])
    save(upright[1].transpose(Image.Transpose.ROTATE_90), root / "b.JPG", exif=exif[6], quality=95, subsampling=0)
    save(upright[2].convert("CMYK"), root / "c.jpg", quality=95)
    save(upright[3].quantize(256), root / "d.gif", save_all=True, append_images=[upright[0]])
    save(upright[4].transpose(Image.Transpose.ROTATE_90), root / "e.tif", exif=exif[6])
    save(Image.fromarray(np.asarray(upright[5].convert("L")).astype(np.uint16) * 257), root / "f.PNG")
    save(upright[6].quantize(256), root / "g.png")
    save(upright[7], root / "h.webp", lossless=True)
    save(upright[8], root.parent / "elsewhere/0.png")
    os.symlink(root.parent / "elsewhere", root / "linked")
    os.symlink(root, root.parent / "elsewhere/loop")
    (root / "._a.png").write_bytes(b"\0\5\x16\7 of a Mac")
    (root / ".DS_Store").write_bytes(b"")
    return root


def pixels(source: Any) -> Tensor:
    return torch.stack([source[index]["image"] for index in range(len(source))])


def test_all_ways_into_a_folder_give_the_same_pixels(tmp_path: Path) -> None:
    root = nasty(tmp_path / "root")
    options = dict(root=str(root), image_size=8, batch_size=2, num_workers=0)
    ours = images(Folder(**options))
    assert len(ours) == len(UPRIGHT)
    for other in (Folder(**options, cache_gib=0), from_folder(root, 8), as_images(root, "real", 8)):
        assert torch.equal(pixels(other.reference("train")), ours)
    whole = from_folder(root)
    assert whole.image_shape == (3, 20, 12) and whole.source.names == UPRIGHT
    square = torch.stack([SquareImage(12, 3)(save_whole(tmp_path / f"{n}.png", x)) for n, x in enumerate(whole.source)])
    assert torch.equal(square, images(Folder(**{**options, "image_size": 12})))


def save_whole(path: Path, sample: dict[str, Tensor]) -> Path:
    return save(Image.fromarray(sample["image"].permute(1, 2, 0).numpy()), path)


def test_every_picture_is_upright(tmp_path: Path) -> None:
    for index, seen in enumerate(pixels(from_folder(nasty(tmp_path / "root")).source)):
        expected = picture(12, 20, index)
        expected = expected.convert("L").convert("RGB") if index == 5 else expected
        off = (seen.permute(1, 2, 0).int() - torch.from_numpy(np.array(expected)).int()).abs().float().mean()
        assert off < 12, UPRIGHT[index]  # JPEG, CMYK and palettes lose a little; a picture that lies loses 40


def test_a_published_set_decodes_as_a_folder_does(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    save(picture(20, 20), tmp_path / IMAGES / "1.jpg", exif=exif)
    save(picture(20, 20, 1), tmp_path / IMAGES / "2.jpg")
    (tmp_path / PARTITION).write_text("1.jpg 0\n2.jpg 0\n")
    celeba = CelebA(root=str(tmp_path), crop=16, mirror=False, **SIZE)
    assert torch.equal(images(celeba), images(Folder(root=str(tmp_path / IMAGES), crop=16, **SIZE)))


def test_what_is_found_and_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made = {"png": 4, "tif": 2, "tiff": 1, "gif": 1, "jfif": 1, "ppm": 1, "pgm": 1, "bmp": 1, "webp": 1}
    made |= {"avif": 1} if features.check("avif") else {}
    for ending, count in made.items():
        for number in range(count):
            image = picture(20, 16, number)
            save(image.convert("L") if ending == "pgm" else image, tmp_path / f"cat/{number}{ending}.{ending}")
    fill(tmp_path / "dog", 2)
    for name in ("1.txt", "2.txt", "cat/3.TXT", "a.mp4", "dog/README", ".hidden"):
        (tmp_path / name).write_text("no image")
    total = sum(made.values()) + 2
    left = "left out: 3 .txt, 1 .mp4, 1 without ending, 1 hidden"
    assert sorted(listed(tmp_path).line("folder").split("; ")[1].split(", ")) == sorted(left.split(", "))
    Folder(root=str(tmp_path / "dog"), **SIZE).setup()
    assert capsys.readouterr().out.startswith("folder: 2 images; left out: 1 without ending\n")
    data = Folder(root=str(tmp_path), labels="folders", num_classes=2, **SIZE)
    data.setup()
    data.reference("train")
    assert capsys.readouterr().out.count(f"folder: {total} images of 2 classes; left out: ") == 1
    from_folder(tmp_path, 8)
    assert f": {total} images; left out: " in capsys.readouterr().out


def test_links_to_folders_are_followed_once_and_real_folders_name_their_images(tmp_path: Path) -> None:
    fill(tmp_path / "z", 1)
    for name, target in {"a": "z", "z/up": "..", "z/self": ".", "nowhere": "nothing"}.items():
        os.symlink(target, tmp_path / name)
    assert listed(tmp_path).names == ["z/0.png"]
    assert top_folders(tmp_path) == ["a", "z"]


def close(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let `folder` be one that may not be read: whoever runs the tests may be allowed everything."""
    scan = os.scandir

    def closed(path: Any) -> Any:
        if Path(path) == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)


def test_a_closed_folder_is_named_or_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "open", 4)
    fill(tmp_path / "closed", 1)
    close(monkeypatch, tmp_path / "closed")
    named = rf"Folder {tmp_path / 'closed'} \(Permission denied\) cannot be read; change its permissions"
    with pytest.raises(UserError, match=rf"{named}, or set data.on_error=skip"):
        Folder(root=str(tmp_path), **SIZE).setup()
    with pytest.raises(UserError, match=rf"{named}\.$"):
        from_folder(tmp_path)
    data = Folder(root=str(tmp_path), on_error="skip", **SIZE)
    assert data.num_images == 4
    assert "folder: 4 images; left out: 1 folder that cannot be read" in capsys.readouterr().out


def test_pillow_without_avif_leaves_it_out(monkeypatch: pytest.MonkeyPatch) -> None:
    endings.cache_clear()
    monkeypatch.setattr(features, "check", lambda name: False)
    assert ".avif" not in endings() and ".png" in endings()
    monkeypatch.undo()
    endings.cache_clear()


def test_an_archive_counts_its_classes_as_a_folder_does(tmp_path: Path) -> None:
    for name in ("cat/0.png", "dog/1.png", "dog/more/2.png"):
        save(picture(9, 9), tmp_path / "root" / name)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for path in sorted((tmp_path / "root").rglob("*.png")):
            file.write(path, path.relative_to(tmp_path / "root"))
    assert top_folders(tmp_path / "x.zip") == top_folders(tmp_path / "root") == ["cat", "dog"]
    assert top_folders(tmp_path / "none.zip") == top_folders(tmp_path / "none") == []
