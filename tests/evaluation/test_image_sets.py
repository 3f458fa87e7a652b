"""Folders and tensors of images, scored against each other with the evaluator's own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.image_sets import from_folder, from_tensor, score
from gan_lightning.metrics.fid import FID

REAL, FAKE = TinyData().images.images, TinyData(seed=1).images.images[:70]


class Grey(LinearExtractor):
    """The tiny extractor on the first channel."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(images[:, :1])


def write(folder: Path, images: Tensor) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{index:03d}.png")
    return folder


def test_tensors_score_as_the_evaluator_does() -> None:
    scores, evaluator = score(REAL, FAKE, {"fid": FID}, LinearExtractor(), batch_size=16)
    expected = Evaluator({"fid": FID}, TinyData(), LinearExtractor(), num_fakes=70).evaluate(lambda a, b: FAKE[a:b])
    assert scores == {"fid70[linear]": pytest.approx(expected["fid70_train[linear]"], rel=1e-6)}
    assert evaluator.protocol == "70 images of fake vs 90 images of real, linear features"


def test_folders_keep_the_files_size_and_order(tmp_path: Path) -> None:
    real, fake = from_folder(write(tmp_path / "a", REAL)), from_folder(write(tmp_path / "b", FAKE))
    assert real.image_shape == (3, 4, 4)
    assert torch.equal(real.source.image(17), REAL[17].expand(3, -1, -1))
    scores, _ = score(real, fake, {"fid": FID}, Grey())
    assert scores == pytest.approx(score(REAL, FAKE, {"fid": FID}, LinearExtractor())[0], rel=1e-6)


def test_a_changed_folder_is_measured_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", REAL)
    before = from_folder(folder).fingerprint("train")
    assert from_folder(folder).fingerprint("train") == before
    assert from_folder(folder, image_size=2).fingerprint("train") != before
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "new.png")
    assert from_folder(folder).fingerprint("train") != before


def test_sizes_that_differ_are_named_unless_resized(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", REAL[:3])
    Image.fromarray(np.zeros((5, 7), np.uint8)).save(folder / "wide.png")
    with pytest.raises(UserError, match=r"000\.png is 4x4, wide\.png is 7x5\): say image_size=N"):
        from_folder(folder)
    assert [from_folder(folder, image_size=2).source.image(i).shape for i in (0, 3)] == [(3, 2, 2)] * 2
    wide = from_folder(folder, image_size=(2, 3))
    assert wide.image_shape == wide.source.image(3).shape == (3, 2, 3)
    assert wide.fingerprint("train") != from_folder(folder, image_size=2).fingerprint("train")


def test_missing_empty_and_unreadable_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        from_folder(tmp_path / "nothing")
    with pytest.raises(UserError, match="There are no images under"):
        from_folder(tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"broken\.png cannot be read \(.*\); repair or remove it\.$"):
        from_folder(tmp_path)
    with pytest.raises(UserError, match=r"broken\.png cannot be read \(.*\); repair or remove it\.$"):
        from_folder(tmp_path, image_size=4).source.image(0)


@pytest.mark.parametrize("images", [torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.uint8)])
def test_tensors_that_are_no_images_are_refused(images: Tensor) -> None:
    with pytest.raises(UserError, match="Images are a uint8 tensor"):
        from_tensor(images)


def test_one_image_is_too_few() -> None:
    with pytest.raises(UserError, match="at least 2"):
        score(REAL[:1], FAKE, {"fid": FID}, LinearExtractor())
    with pytest.raises(UserError, match="at least 2"):
        score(REAL, FAKE[:1], {"fid": FID}, LinearExtractor())
