"""Every file is tried before training: all bad ones are named at once, whatever is wrong with them, and only once."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_files import SIZE, broken, fill, picture, save

from gan_lightning.data import Folder, opening
from gan_lightning.data.image_data import SquareImage, Unreadable
from gan_lightning.data.opening import open_image
from gan_lightning.data.sources import FileImages
from gan_lightning.errors import UserError
from gan_lightning.evaluation.image_sets import from_folder

GIB = pytest.mark.parametrize("cache_gib", [1.0, 0])


@GIB
def test_all_bad_files_are_named_at_once(tmp_path: Path, cache_gib: float) -> None:
    root = broken(tmp_path)
    said = (
        rf"^2 of 6 files: Image {root}/2.jpg cannot be read \(OSError: .*\); Image {root}/4.jpg cannot be read \(.*\); "
        r"repair or remove them, or set data.on_error=skip to leave out such files\.$"
    )
    for _ in range(2):
        with pytest.raises(UserError, match=said):
            Folder(root=str(root), cache_gib=cache_gib, **SIZE).setup()
    with pytest.raises(UserError, match=r"^2 of 6 files: .*; repair or remove them\.$"):
        from_folder(root, image_size=8)


@GIB
def test_many_bad_files_are_listed_in_a_file(tmp_path: Path, cache_gib: float) -> None:
    for number in range(9):
        (tmp_path / f"{number}.png").write_text("no image")
    with pytest.raises(UserError, match=r"^9 of 9 files: .* and 6 more, all listed in \S+\.txt; repair") as refused:
        Folder(root=str(tmp_path), cache_gib=cache_gib, **SIZE).setup()
    listed = Path(str(refused.value).split("all listed in ")[1].split(";")[0]).read_text().splitlines()
    assert [line.split()[1] for line in listed] == [str(tmp_path / f"{number}.png") for number in range(9)]


@GIB
def test_files_are_tried_once(tmp_path: Path, cache_gib: float, monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(fill(tmp_path))
    Folder(root=root, cache_gib=cache_gib, **SIZE).setup()
    monkeypatch.setattr(SquareImage, "__call__", lambda *_: pytest.fail("tried again"))
    Folder(root=root, cache_gib=cache_gib, **SIZE).setup()


def test_a_list_of_bad_files_without_their_faults_is_still_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path / "cache"))
    (tmp_path / "root").mkdir()
    options = dict(root=str(broken(tmp_path / "root")), on_error="skip", **SIZE)
    assert Folder(**options).num_images == 4
    (path,) = (tmp_path / "cache/images").glob("*.unreadable.json")
    path.write_text('["2.jpg", "4.jpg"]')
    assert Folder(**options).num_images == 4


@GIB
def test_links_to_nothing_and_pipes_are_bad_files(
    tmp_path: Path, cache_gib: float, capsys: pytest.CaptureFixture
) -> None:
    fill(tmp_path)
    os.symlink("gone.png", tmp_path / "link.png")
    os.symlink("round.png", tmp_path / "round.png")
    os.mkfifo(tmp_path / "pipe.png")
    options = dict(root=str(tmp_path), cache_gib=cache_gib, **SIZE)
    with pytest.raises(UserError) as refused:
        Folder(**options).setup()
    said = str(refused.value)
    assert said.startswith("3 of 7 files: ") and said.endswith("or set data.on_error=skip to leave out such files.")
    assert f"Image {tmp_path / 'link.png'} cannot be read (FileNotFoundError: it is a link to gone.png, which " in said
    assert f"Image {tmp_path / 'pipe.png'} cannot be read (OSError: it is not a regular file)" in said
    data = Folder(on_error="skip", **options)
    assert data.num_images == 4
    assert "folder: 3 of 7 images cannot be read and are left out, first link.png" in capsys.readouterr().out
    save(picture(20, 16, 8), tmp_path / "gone.png")
    assert Folder(on_error="skip", **options).num_images == 6  # the file, and the link to it


@GIB
def test_a_file_that_vanishes_is_a_bad_file(tmp_path: Path, cache_gib: float, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, 5)
    files = Folder.files

    def vanish(self: Folder, split: str) -> FileImages:
        found = files(self, split)
        (tmp_path / "2.png").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Folder, "files", vanish)
    with pytest.raises(UserError, match=rf"^Image {tmp_path / '2.png'} cannot be read \(FileNotFoundError"):
        Folder(root=str(tmp_path), cache_gib=cache_gib, **SIZE).setup()
    save(picture(9, 9), tmp_path / "2.png")
    assert Folder(root=str(tmp_path), cache_gib=cache_gib, on_error="skip", **SIZE).num_images == 4


def test_a_file_that_may_be_read_again_is_no_longer_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    closed, access, read = tmp_path / "1.png", os.access, Path.open
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and access(path, mode))

    def refusing(self: Path, *args: object, **options: object) -> object:
        if self == closed:
            raise PermissionError(13, "Permission denied")
        return read(self, *args, **options)

    monkeypatch.setattr(Path, "open", refusing)
    with pytest.raises(UserError, match=rf"^Image {closed} cannot be read \(PermissionError"):
        Folder(root=str(tmp_path), **SIZE).setup()
    assert Folder(root=str(tmp_path), on_error="skip", **SIZE).num_images == 3
    monkeypatch.undo()
    assert Folder(root=str(tmp_path), on_error="skip", **SIZE).num_images == 4


def test_the_error_of_a_file_survives_the_way_from_a_worker() -> None:
    error = Unreadable("Image x cannot be read (why)", skippable=True)
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and again.fault == error.fault and again.skippable
    assert str(error).endswith("repair or remove it, or set data.on_error=skip to leave out such files.")


def test_a_users_own_image_may_have_any_number_of_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endings = ("png", "jpg", "gif", "tif", "webp")
    for ending in endings:
        save(picture(40, 40), tmp_path / f"0.{ending}")
    read = SquareImage(8, 3, crop=20)
    before = {ending: read(tmp_path / f"0.{ending}") for ending in endings}
    monkeypatch.setattr(opening, "LARGE", 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # all of them are bombs to Pillow
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "0.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ending, seen in before.items():
            assert torch.equal(read(tmp_path / f"0.{ending}"), seen)
        assert from_folder(tmp_path).image_shape == (3, 40, 40)
    assert Image.MAX_IMAGE_PIXELS == 100


def test_a_huge_jpeg_is_decoded_to_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(picture(320, 400), tmp_path / "0.jpg", quality=95)
    whole = SquareImage(8, 3)(path).int()
    monkeypatch.setattr(opening, "HUGE", 1000)
    for enough, size in {8: (40, 50), 30: (80, 100), 160: (320, 400)}.items():
        with open_image(path, enough) as image:
            assert image.size == size and min(size) >= 2 * enough
    assert (SquareImage(8, 3)(path).int() - whole).abs().max() <= 3
    cropped = SquareImage(8, 3, crop=64)
    assert torch.equal(cropped(path), SquareImage(8, 3, crop=64)(save(Image.open(path), tmp_path / "0.png")))


def test_files_that_are_no_image_are_said_to_be_none(tmp_path: Path) -> None:
    for name, content in {"a.png": b"", "b.png": b"no", "c.jpg": b"\xff\xd8\xff", "d.gif": b"GIF89a"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            UserError, match=rf"{name} cannot be read \(UnidentifiedImageError: it is no image of a known"
        ):
            SquareImage(8, 3)(tmp_path / name)


def test_images_open_alike_in_a_forked_process(tmp_path: Path) -> None:
    path = save(picture(20, 16), tmp_path / "0.png")
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert np.array_equal(pool.apply(_read, (path,)), _read(path))


def _read(path: Path) -> np.ndarray:
    return SquareImage(8, 3)(path).numpy()
