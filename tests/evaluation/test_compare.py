"""`gan_lightning.metrics.evaluate(real, fake, ["fid", "kid"])`: folders, tensors and data modules, from Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor

import gan_lightning
from gan_lightning.cli.objects import build
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.selection import extractor_named, metrics_named
from gan_lightning.metrics import evaluate, inception
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception import Inception
from gan_lightning.metrics.kid import KID

CONF = Path(__file__).parents[2] / "conf"
REAL, FAKE = TinyData().images.images, TinyData(seed=1).images.images[:70]
linear = partial(evaluate, extractor=LinearExtractor(), device="cpu")


def colour(seed: int, count: int = 6) -> Tensor:
    return torch.randint(256, (count, 3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def write(folder: Path, images: Tensor) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).squeeze(2).numpy()).save(folder / f"{index:03d}.png")
    return folder


def test_it_is_there_from_the_package_and_importing_it_is_light() -> None:
    assert gan_lightning.metrics.evaluate is evaluate and "evaluate" in dir(gan_lightning.metrics)
    code = "import sys, gan_lightning.metrics; print([m for m in ('torch', 'lightning') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CONF.parent, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_folders_agree_with_torch_fidelity(
    inception_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch_fidelity import calculate_metrics

    real, fake = write(tmp_path / "real", colour(0)), write(tmp_path / "fake", colour(1))
    place = tmp_path / "hub" / "checkpoints" / inception.FILE
    place.parent.mkdir(parents=True)
    shutil.copyfile(inception_weights, place)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    scores = evaluate(real, str(fake), ["fid", partial(KID, subset_size=5)], device="cpu")
    options: dict[str, Any] = {"kid": True, "kid_subset_size": 5, "cuda": False, "verbose": False}
    options |= {"feature_extractor_weights_path": str(place), "cache": False, "save_cpu_ram": True}
    theirs = calculate_metrics(input1=str(fake), input2=str(real), **options)
    assert list(scores) == ["fid6[unverified]", "kid6[unverified]", "kid6_std[unverified]"]
    assert scores["fid6[unverified]"] > 0
    assert scores["kid6[unverified]"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-3)


def test_tensors_folders_and_data_modules_are_the_same_images(tmp_path: Path) -> None:
    class Own(LinearExtractor):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(images[:, :1])

    by_tensor = linear(REAL, FAKE, ["fid", "kid"])
    direct = Evaluator({"fid": FID, "kid": KID}, TinyData(), LinearExtractor(), num_fakes=70)
    expected = direct.evaluate(lambda start, stop: FAKE[start:stop])
    assert list(by_tensor) == ["fid70[linear]", "kid70[linear]", "kid70_std[linear]"]
    assert [*by_tensor.values()] == pytest.approx([*expected.values()], rel=1e-6)
    folders = write(tmp_path / "real", REAL), write(tmp_path / "fake", FAKE)
    assert evaluate(*folders, ["fid", "kid"], Own(), device="cpu") == pytest.approx(by_tensor, rel=1e-6)
    modules = linear(TinyData(), TinyData(count=70, seed=1), ["fid"])
    other = linear(REAL, TinyData(count=70, seed=1).images.images, ["fid"])
    assert modules["fid70[linear]"] == pytest.approx(other["fid70[linear]"], rel=1e-6)


def test_metrics_are_named_or_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = linear(REAL, FAKE, "fid")
    assert linear(REAL, FAKE, [FID]) == linear(REAL, FAKE, {"mine": FID}) == alone
    both = linear(REAL, FAKE, ["fid", partial(KID, subsets=3, subset_size=20)])
    assert alone.items() < both.items() and set(both) - set(alone) == {"kid70[linear]", "kid70_std[linear]"}


def test_names_are_those_of_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    for path in (CONF / "metrics").glob("*.yaml"):
        if path.stem == "full":
            continue
        ours, theirs = metrics_named(path.stem)[path.stem], build(OmegaConf.load(path)[path.stem])
        assert (ours.func, ours.keywords) == (theirs.func, theirs.keywords), path
    for path in (CONF / "extractor").glob("*.yaml"):
        theirs = build(OmegaConf.load(path))
        assert type(extractor_named(path.stem)) is type(theirs) and vars(extractor_named(path.stem)) == vars(theirs)
    scores = linear(REAL, REAL, "full")
    assert {"fid90[linear]", "kid90[linear]", "recall90[linear]", "coverage90[linear]"} <= set(scores)
    assert "Left out modes: " in capsys.readouterr().out


def test_it_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    linear(REAL, FAKE, ["fid", "is", "kid"])
    assert torch.equal(torch.rand(3), expected)


NAN = torch.full((4, 3, 8, 8), torch.nan)
MISTAKES: dict[str, tuple[Any, ...]] = {
    "There is no metrics=fidd: choose one of 'fid',": (REAL, FAKE, ["fidd"]),
    "There is no extractor=inceptoin: choose one of 'inception',": (REAL, FAKE, ["fid"], "inceptoin"),
    "There is no metric to measure": (REAL, FAKE, []),
    "3 is no metric that can be built": (REAL, FAKE, [3]),
    "There is 1 image in real, and scores need at least 2": (REAL[:1], FAKE),
    "There is no image in fake, and scores need at least 2": (REAL, FAKE[:0]),
    "Images are a uint8 tensor (N, C, H, W), and fake is torch.float32": (REAL, NAN),
    "Images are a folder, a uint8 tensor (N, C, H, W), or a data module, and real is a list": ([1], FAKE),
    "The images of fake have the shape (1, 2, 2) and those of real (1, 4, 4): bring": (REAL, FAKE[:, :, :2, :2]),
    "it takes at least 4; give more": (REAL[:3], FAKE, ["precision_recall"]),
    "needs the discriminator": (REAL, FAKE, ["discriminator_accuracy"]),
    "data=real is unlabelled": (REAL, FAKE, ["fid"], "classifier"),
    "data=real has none": (REAL, FAKE, ["classification_accuracy"]),
    "extractor.weights=/nowhere is not a file": (REAL, FAKE, ["fid"], Inception("/nowhere")),
    "There is no folder /nowhere": ("/nowhere", FAKE),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_a_mistake_is_one_sentence(sentence: str) -> None:
    real, fake, *further = MISTAKES[sentence]
    options = further or [["fid"]]
    with pytest.raises(UserError) as caught:
        evaluate(real, fake, *options, **({} if len(options) > 1 else {"extractor": LinearExtractor()}))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_weights_of_another_shape_are_named(inception_weights: Path, tmp_path: Path) -> None:
    state = torch.load(inception_weights, weights_only=True)
    name = next(iter(state))
    torch.save({**state, name: state[name][..., :1]}, tmp_path / "cut.pth")
    with pytest.raises(UserError, match=r"cut\.pth does not hold the weights of torch-fidelity's Inception-v3"):
        evaluate(REAL, FAKE, extractor=Inception(str(tmp_path / "cut.pth")))
