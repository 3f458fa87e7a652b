"""Zip and tar files in place of a folder: the same pixels, in threads and processes, and nothing that leads outside."""

from __future__ import annotations

import io
import os
import pickle
import re
import stat
import struct
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from test_files import SIZE, fill, images, picture, save

from gan_lightning.data import Folder, archives, opening
from gan_lightning.data.archives import archive
from gan_lightning.data.listing import Listing, listed
from gan_lightning.data.sources import FileImages
from gan_lightning.errors import UserError
from gan_lightning.evaluation.image_sets import from_folder

KINDS = pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tgz"])


def pack(root: Path, path: Path, top: str = "") -> Path:
    """Pack all files below `root` into the archive `path`."""
    files = [(str(Path(top, file.relative_to(root))), file) for file in sorted(root.rglob("*")) if file.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, file in files:
                zipped.write(file, name)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as packed:
            for name, file in files:
                packed.add(file, name)
    return path


def classes(root: Path) -> Path:
    """Return a folder of two classes with a file that is no image, and what a Mac adds."""
    for number, name in enumerate(("cat/0.png", "cat/deep/1.jpg", "dog/2.PNG", "dog/3.gif")):
        save(picture(20, 16 + number, number), root / name)
    for name in ("notes.txt", "__MACOSX/cat/._0.png", "cat/._0.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("no image")
    return root


def put(path: Path, *members: tuple[tarfile.TarInfo | zipfile.ZipInfo | str, bytes]) -> Path:
    """Write an archive of made-up members."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for info, content in members:
                zipped.writestr(info, content)
        return path
    with tarfile.open(path, "w") as packed:
        for info, content in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def png(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    picture(9, 9, seed).save(buffer, "png")
    return buffer.getvalue()


@KINDS
@pytest.mark.parametrize("cache_gib", [1.0, 0])
def test_an_archive_is_read_as_its_folder(
    tmp_path: Path, ending: str, cache_gib: float, capsys: pytest.CaptureFixture
) -> None:
    root = classes(tmp_path / "root")
    packed = pack(root, tmp_path / f"x.{ending}")
    options = dict(labels="folders", num_classes=2, cache_gib=cache_gib, **SIZE)
    ours, theirs = (Folder(root=str(path), **options) for path in (packed, root))
    assert torch.equal(images(ours), images(theirs)) and ours.class_names == ["cat", "dog"]
    assert [ours.reference()[i]["label"] for i in range(4)] == [0, 0, 1, 1]
    assert capsys.readouterr().out.count("folder: 4 images of 2 classes; left out: ") == 2
    assert torch.equal(from_folder(packed, 8).source.image(1), from_folder(root, 8).source.image(1))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["root", f"x.{ending}"]


@KINDS
@pytest.mark.parametrize("workers", [0, 2])
def test_threads_and_worker_processes_read_one_archive(tmp_path: Path, ending: str, workers: int) -> None:
    packed = pack(fill(tmp_path / "root", 24), tmp_path / f"x.{ending}")
    options = dict(image_size=8, batch_size=4, num_workers=workers)
    ours, theirs = (Folder(root=str(path), cache_gib=0, **options) for path in (packed, tmp_path / "root"))
    for one, other in zip(ours.train_dataloader(), theirs.train_dataloader(), strict=True):
        assert torch.equal(one["image"], other["image"])
    source = ours.source("train")
    assert isinstance(source, FileImages)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(source.image, [index % 24 for index in range(200)]))
    assert all(torch.equal(image, source.image(index % 24)) for index, image in enumerate(read))
    again = pickle.loads(pickle.dumps(source))
    assert torch.equal(again.image(5), source.image(5)) and again.fingerprint == source.fingerprint


@KINDS
def test_the_one_folder_that_holds_everything_is_no_class(tmp_path: Path, ending: str) -> None:
    packed = pack(classes(tmp_path / "root"), tmp_path / f"x.{ending}", top="pictures")
    there = listed(packed)
    assert there.names == ["cat/0.png", "cat/deep/1.jpg", "dog/2.PNG", "dog/3.gif"]
    assert str(there.root / "cat/0.png") == f"{packed}/pictures/cat/0.png"
    flat = pack(fill(tmp_path / "flat", 2), tmp_path / f"y.{ending}", top="cat")
    assert listed(flat).names == ["cat/0.png", "cat/1.png"]  # a single class


@KINDS
def test_another_content_is_another_fingerprint(tmp_path: Path, ending: str) -> None:
    root = fill(tmp_path / "root")
    before = Folder(root=str(pack(root, tmp_path / f"x.{ending}")), **SIZE).fingerprint()
    assert Folder(root=str(pack(root, tmp_path / f"moved.{ending}")), **SIZE).fingerprint() == before
    content = (root / "1.png").read_bytes()
    (root / "1.png").write_bytes(content[:-20] + bytes(20))
    os.utime(root / "1.png", (10**9, 10**9))
    with pytest.raises(UserError, match=rf"^Image {tmp_path}/x.{ending}/1.png cannot be read \("):
        Folder(root=str(pack(root, tmp_path / f"x.{ending}")), **SIZE).setup()
    data = Folder(root=str(tmp_path / f"x.{ending}"), on_error="skip", **SIZE)
    assert data.num_images == 3 and data.fingerprint() != before


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_names_are_only_names(tmp_path: Path, ending: str) -> None:
    outside = save(picture(9, 9), tmp_path / "outside.png")
    names = ("../outside.png", f"{outside}", "./in//0.png", "in\\1.png", "a/../../outside.png", "b/2.png")
    packed = put(tmp_path / f"x.{ending}", *((name, png(number)) for number, name in enumerate(names)))
    there = listed(packed)
    assert there.others == {"hidden": 2}  # those with ".."
    inside = [name for name in there.names if name.startswith("in/")]
    assert inside == ["in/0.png", "in/1.png"] and "b/2.png" in there.names and len(there.names) == 4
    with (there.root / str(outside).strip("/")).open("rb") as file:
        assert file.read() == png(1)  # what is in the archive under that name


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def linked(tmp_path: Path, ending: str) -> Listing:
    outside = save(picture(9, 9), tmp_path / "outside.png")
    targets = {"b/near.png": "../a/0.png", "b/chain.png": "near.png", "out.png": "../outside.png",
               "far.png": str(outside), "round.png": "round.png", "again": "a"}  # fmt: skip
    if ending == "zip":
        members = [(zip_link(name), target.encode()) for name, target in targets.items()]
    else:
        members = [(link(name, target), b"") for name, target in targets.items()]
        members.append((link("b/hard.png", "a/0.png", tarfile.LNKTYPE), b""))
    return listed(put(tmp_path / f"x.{ending}", ("a/0.png", png()), *members))


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_links_within_are_files_and_all_others_lead_nowhere(tmp_path: Path, ending: str) -> None:
    there = linked(tmp_path, ending)
    inside = ["a/0.png", "b/chain.png", "b/near.png"] + ["b/hard.png"] * (ending == "tar")
    assert there.names == sorted([*inside, "far.png", "out.png", "round.png"])
    for name in inside:
        with (there.root / name).open("rb") as file:
            assert file.read() == png()
    with pytest.raises(
        UserError, match=r"^3 of \d files: Image .*far.png cannot be read \(FileNotFoundError: it is a link"
    ):
        Folder(root=str(there.root), **SIZE).setup()
    assert Folder(root=str(there.root), on_error="skip", **SIZE).num_images == len(inside)


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    packed = put(tmp_path / "x.zip", ("0.png", png()))
    content = bytearray(packed.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(content)
    for use in (lambda: Folder(root=str(packed), **SIZE).setup(), lambda: from_folder(packed)):
        with pytest.raises(UserError, match=rf"^{packed} is encrypted \(0.png\); unpack it and give the folder\.$"):
            use()


@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = put(tmp_path / f"x.{ending}", ("0.png", png()), ("1.png", bytes(5000)))
    monkeypatch.setattr(archives, "LARGEST", 4000)
    with pytest.raises(
        UserError, match=r"1.png cannot be read \(OSError: it has 0.0 GiB, .* unpack the archive and give"
    ):
        Folder(root=str(packed), **SIZE).setup()


def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(fill(tmp_path / "root"), tmp_path / "x.zip")
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path / "cache"))  # another test decoded the same images
    monkeypatch.setattr(opening, "PACKED", 350)
    with pytest.raises(
        UserError, match=r"^2 of 4 files: Image .*2.png cannot be read \(OSError: it has 22 x 16 pixels, too"
    ):
        Folder(root=str(packed), **SIZE).setup()
    assert Folder(root=str(tmp_path / "root"), **SIZE).num_images == 4


def test_a_file_that_unpacks_to_more_than_it_says_is_not_read_on(tmp_path: Path) -> None:
    packed = tmp_path / "x.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("0.png", bytes(10_000_000))
    content = bytearray(packed.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(mark) + offset
        assert struct.unpack("<I", content[at : at + 4]) == (10_000_000,)
        content[at : at + 4] = struct.pack("<I", 100)
    packed.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        archive(packed).content("0.png")
    with pytest.raises(UserError, match=r"x.zip/0.png cannot be read \(BadZipFile"):
        Folder(root=str(packed), **SIZE).setup()


def test_a_compressed_tar_that_is_too_large_for_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "HELD", 3000)
    packed = pack(fill(tmp_path / "root"), tmp_path / "x.tgz")
    with pytest.raises(UserError, match=rf"^{packed} holds more than .* gunzip it, since a tar without compression"):
        Folder(root=str(packed), **SIZE).setup()
    assert Folder(root=str(pack(tmp_path / "root", tmp_path / "x.tar")), **SIZE).num_images == 4


@KINDS
@pytest.mark.parametrize("labels", [None, "folders"])
def test_a_damaged_archive_is_named(tmp_path: Path, ending: str, labels: str | None) -> None:
    packed = pack(fill(tmp_path / "root", 9), tmp_path / f"x.{ending}")
    whole = packed.read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        packed.write_bytes(content)
        with pytest.raises(UserError, match=rf"{re.escape(str(packed))} (cannot be read as a|holds no images)"):
            Folder(root=str(packed), labels=labels, **SIZE).setup()


def test_other_files_are_no_archives(tmp_path: Path) -> None:
    (tmp_path / "x.rar").write_text("")
    with pytest.raises(
        UserError, match=r"x.rar is not a folder; give the path of .* or of a file .zip, .tar, .tar.gz, .tgz"
    ):
        Folder(root=str(tmp_path / "x.rar"), **SIZE).setup()
    with pytest.raises(UserError, match=r"x.rar is not a folder"):
        from_folder(tmp_path / "x.rar")
