"""What cannot be measured ends in one sentence on the command line, before any work, and NaN never becomes a score."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from test_several_checkpoints import FID_NAME, run, save

from gan_lightning.cli.evaluate import evaluate
from gan_lightning.errors import UserError


def folder(path: Path, *sides: int) -> None:
    path.mkdir(parents=True)
    for index, side in enumerate(sides):
        Image.new("RGB", (side, side), (20 * index, 0, 99)).save(path / f"{index}.png")


FOLDERS = {
    "real=empty fake=three": "There are no images under empty: looked for .jpg,",
    "real=three fake=one": "There is 1 image in one, and scores need at least 2: add images.",
    "real=mixed fake=three": "The images under mixed differ in size (0.png is 8x8, 1.png is 9x9): say image_size=N",
    "real=three fake=large": "bring them to one, folders by image_size=N or [height,width].",
    "real=three fake=broken": "broken/0.png cannot be read",
    "real=three fake=three metrics=[precision_recall]": "3 neighbours of each of 3 real",
    "real=three fake=three metrics=[density_coverage]": "it takes at least 6; give more, or lower",
    "real=three fake=three metrics=[intra_fid]": "metrics=[intra_fid] compares class by class, and data=three is",
    "real=three fake=three metrics=[classification_accuracy]": "teaches classes, and data=three has none",
    "real=three fake=three metrics=[modes]": "counts the modes of a Gaussian mixture, and this data set is none",
    "real=three fake=three metrics=[ppl_z]": "walks through the latents of a generator, and there are only images",
    "real=three fake=three metrics=[fidd]": "There is no metrics=fidd: choose one of fid,",
    "real=three fake=three extractor=inceptoin": "There is no extractor=inceptoin: choose one of inception,",
    "real=three fake=three extractor=classifier": "data=three is unlabelled: use extractor=inception",
    "real=three fake=three extractor.weights=/nowhere": "extractor.weights=/nowhere is not a file",
    "real=three fake=three extractor.weights=three/0.png": "0.png does not hold the weights of torch-fidelity's",
    "real=three fake=three extractor.weights=cut.pth": "cut.pth does not hold the weights of torch-fidelity's",
    "real=three fake=three num_fakes=2": "num_fakes=... is for a trained generator, ckpt=PATH: here it has no effect",
    "real=three fake=three split=test": "split=... is for a trained generator",
    "real=three fake=three seed=0": "seed=... is for a trained generator",
    "real=three fake=three raw=true": "raw=... is for a trained generator",
    "ckpt=three image_size=8": "image_size=... is for two folders",
    "real=three fake=three image_size=0": "image_size=0 is not possible; it is a whole number of at least 1, or two",
    "real=three fake=three image_size=[8,8,3]": "image_size=[8,8,3] is not possible; it is",
    "real=three fake=three metrics=[intra_fid] extractor.weights=/nowhere": "intra_fid] compares class by class",
    "real=three fake=three out=three/0.png": "out=three/0.png cannot be written (File exists): choose another",
    "real=three fake=three out=three/0.png/deeper": "cannot be written (Not a directory): choose another",
}


@pytest.mark.parametrize("line", FOLDERS)
def test_two_folders(line: str, tmp_path: Path, inception_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, sides in {"empty": (), "one": (8,), "three": (8,) * 3, "mixed": (8, 9), "large": (9,) * 3}.items():
        folder(tmp_path / name, *sides)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/0.png").write_bytes(b"no image")
    if "cut.pth" in line:
        state = torch.load(inception_weights, weights_only=True)
        torch.save({name: value[..., :1] if value.dim() else value for name, value in state.items()}, "cut.pth")
    words = [*([] if "extractor=" in line else ["extractor=inception"]), *line.split(), "device=cpu"]
    if "extractor" not in line and "real=" in line:
        words.append(f"extractor.weights={inception_weights}")
    with pytest.raises(UserError) as caught:
        evaluate(words)
    assert FOLDERS[line] in str(caught.value) and "\n" not in str(caught.value)


def diverged(path: Path) -> None:
    checkpoint = torch.load(path, weights_only=True)
    for value in checkpoint["state_dict"].values():
        if value.is_floating_point():
            value.fill_(math.nan)
    torch.save(checkpoint, path)


@pytest.mark.parametrize("alone", [True, False])
def test_nan_never_becomes_a_score(alone: bool, tmp_path: Path) -> None:
    diverged(save(tmp_path / "last.ckpt", 400) if alone else run(tmp_path, 400, 800) / "checkpoints/at_400.ckpt")
    with pytest.warns(UserWarning, match="100 of 100 samples are not finite .* so this evaluation has no scores"):
        result = evaluate([f"ckpt={tmp_path}", "checkpoints=all", "device=cpu", f"out={tmp_path}/out"])
    if alone:
        assert result["scores"] == {}
    else:
        assert result["scores"]["at_400.ckpt"] == {} and list(result["scores"]["at_800.ckpt"]) == [FID_NAME]
    for name in ("scores.csv", "scores.md"):
        written = (tmp_path / "out" / name).read_text().replace(str(tmp_path), "")
        assert ("last.ckpt" if alone else "at_400.ckpt") in written and "nan" not in written
