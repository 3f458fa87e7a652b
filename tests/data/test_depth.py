"""Files of more than 8 bits: one white for the whole set, found out or given, and the same in evaluation."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_files import SIZE, images, picture, save

from gan_lightning.data import Folder
from gan_lightning.data.depth import automatic, largest
from gan_lightning.data.image_data import SquareImage
from gan_lightning.errors import UserError
from gan_lightning.evaluation.image_sets import from_folder


def levels(most: int, seed: int = 0) -> np.ndarray:
    """Return 8 x 8 grey levels, the largest of them `most`."""
    values = np.random.default_rng(seed).integers(0, most, (8, 8))
    values[0, 0] = most
    return values


def dark(root: Path, most: int = 4000, dtype: type = np.uint16) -> Path:
    """Return a folder of two images whose values reach `most` in one, and a tenth of it in the other."""
    save(Image.fromarray(levels(most).astype(dtype)), root / "0.tif")
    save(Image.fromarray(levels(most // 10).astype(dtype)), root / "1.tif")
    return root


def colour_png(path: Path, values: np.ndarray) -> Path:
    """Write `(H, W, C)` numbers with 16 bits each, which Pillow does not write."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


@pytest.mark.parametrize("cache_gib", [1.0, 0])
def test_twelve_bits_are_scaled_alike_over_the_set(
    tmp_path: Path, capsys: pytest.CaptureFixture, cache_gib: float
) -> None:
    options = dict(root=str(dark(tmp_path)), channels=1, image_size=8, batch_size=2, num_workers=0, cache_gib=cache_gib)
    for _ in range(2):  # the second time from the cache
        seen = images(Folder(**options))
        expected = np.rint(np.stack([levels(4000), levels(400)]) * 255 / 4095)
        assert np.array_equal(seen[:, 0].numpy(), expected)
        line = (
            "folder: 2 images of more than 8 bits, with values up to 4,000, so 4,095 is white; data.white=VALUE sets it"
        )
        assert line in capsys.readouterr().out
    assert torch.equal(from_folder(tmp_path).source.image(1), seen[1].expand(3, -1, -1))
    assert "so 4,095 is white; white=VALUE" in capsys.readouterr().out


def test_white_may_be_given_and_is_part_of_the_fingerprint(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    given = Folder(root=str(dark(tmp_path)), white=8000, **SIZE)
    assert images(given).max() == round(4000 * 255 / 8000) and "is white" not in capsys.readouterr().out
    prints = [Folder(root=str(tmp_path), white=white, **SIZE).fingerprint() for white in (8000, 4095, None, 65535)]
    assert prints[1] == prints[2] and len({*prints}) == 3
    assert from_folder(tmp_path, white=8000).source.image(0).max() == round(4000 * 255 / 8000)
    sets = [from_folder(tmp_path, white=white).fingerprint("train") for white in (8000, 4095, None)]
    assert sets[0] != sets[1] == sets[2]
    for refused in (0, -1, float("nan")):
        with pytest.raises(UserError, match=rf"data.white={refused} is not possible; it is a number above 0"):
            Folder(root=str(tmp_path), white=refused, **SIZE)
        with pytest.raises(UserError, match=rf"^white={refused} is not possible"):
            from_folder(tmp_path, white=refused)


@pytest.mark.parametrize(
    ("most", "white"), [(1, 255), (255, 255), (256, 1023), (4095, 4095), (4096, 16383), (16384, 65535), (65535, 65535)]
)
def test_white_is_that_of_the_fewest_bits(most: int, white: int) -> None:
    assert automatic(most) == white


def test_all_of_16_bits_and_8_bits_keep_their_pixels_and_fingerprints(tmp_path: Path) -> None:
    dark(tmp_path, 60000)
    assert images(Folder(root=str(tmp_path), **SIZE)).max() == round(60000 / 257)
    assert repr(SquareImage(8, 3)) == "SquareImage(size=8, channels=3, crop=None)"  # as before there was a white
    assert repr(SquareImage(8, 3, white=4095)).endswith("white=4095)")


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_in_colours_are_read_in_full(tmp_path: Path, channels: int) -> None:
    values = np.stack([levels(4000, seed) for seed in range(channels)], -1)
    if channels == 4:
        values[..., 3] = 65535  # opaque
    colour_png(tmp_path / "0.png", values)
    expected = (
        np.rint(values[..., :3] * 255 / 4095) if channels == 3 else np.clip(np.rint(values * 255 / 65535), 0, 255)
    )
    seen = images(Folder(root=str(tmp_path), image_size=8, batch_size=1, num_workers=0))[0].permute(1, 2, 0)
    assert np.abs(seen.numpy() - expected[..., :3]).max() <= (0 if channels == 3 else 1)  # Pillow takes the upper byte
    given = SquareImage(8, 3, white=4095)(tmp_path / "0.png").permute(1, 2, 0).numpy()
    assert np.array_equal(given, np.rint(values[..., :3] * 255 / 4095))


def test_a_turned_image_of_16_bits_stands(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tall = levels(4000)[:, :5].astype(np.uint16)
    save(Image.fromarray(np.rot90(tall).copy()), tmp_path / "0.png", exif=exif)
    seen = from_folder(tmp_path).source.image(0)
    assert np.array_equal(seen[0].numpy(), np.rint(tall.astype(float) * 255 / 4095))


def test_files_that_say_their_white_are_believed(tmp_path: Path) -> None:
    header = b"P5 8 8 4095\n"  # 12 bits by its header, and dark
    (tmp_path / "0.pgm").write_bytes(header + levels(900).astype(">u2").tobytes())
    assert largest(tmp_path / "0.pgm") is None
    seen = images(Folder(root=str(tmp_path), channels=1, image_size=8, batch_size=1, num_workers=0))
    assert np.abs(seen[0, 0].numpy() - levels(900) * 255 / 4095).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "most", "what"), [(np.float32, 1, "floating-point numbers"), (np.int32, 70000, "70,000")]
)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_numbers_without_a_white_are_refused_until_it_is_given(
    tmp_path: Path, dtype: type, most: int, what: str, on_error: str
) -> None:
    values = (levels(most) if most > 1 else levels(1000) / 1000).astype(dtype)
    path = save(Image.fromarray(values), tmp_path / "0.tif")
    save(picture(8, 8), tmp_path / "1.png")
    with pytest.raises(
        UserError, match=rf"^Image {path} cannot be read: it has .*{what}.*; say it by data.white=VALUE"
    ):
        Folder(root=str(tmp_path), on_error=on_error, **SIZE).setup()
    with pytest.raises(UserError, match=r"say it by white=VALUE, or save such images with 8 or 16 bits\.$"):
        from_folder(tmp_path)
    data = Folder(root=str(tmp_path), on_error=on_error, white=most, channels=1, image_size=8, batch_size=2)
    assert np.array_equal(images(data)[0, 0].numpy(), np.rint(values.astype(float) * 255 / most))
