"""Precomputed statistics: written as others write them, read as others write them, and never taken for more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics

from gan_lightning.cli.evaluate import evaluate
from gan_lightning.errors import UserError
from gan_lightning.evaluation.image_sets import as_images, score
from gan_lightning.evaluation.statistics import (
    check_target,
    measure_statistics,
    read_statistics,
    write_statistics,
)
from gan_lightning.evaluation.trained_generators import TrainedGenerators
from gan_lightning.metrics import evaluate as compare
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.kid import KID
from gan_lightning.metrics.neighbours import PrecisionRecall
from gan_lightning.metrics.preset import Preset
from gan_lightning.networks.dcgan import DCGANGenerator

REAL, FAKE = TinyData().images.images, TinyData(seed=1).images.images[:70]


class Plain(LinearExtractor):
    """As if its weights were the published ones."""

    suffix = ""


class Grey(LinearExtractor):
    """The tiny extractor on the first channel."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(images[:, :1])


class Other(LinearExtractor):
    """Other weights, features of the same number."""

    fingerprint = "other"


def features(images: Tensor) -> Tensor:
    extractor = LinearExtractor()
    extractor.prepare(None, "cpu")
    return extractor(images)["features"]


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.fixture
def theirs(tmp_path: Path) -> dict[str, Any]:
    """Return the statistics of the real images as torch-fidelity computes them, in double precision."""
    return fid_features_to_statistics(features(REAL).double())


def test_our_file_gives_the_score_of_its_images_to_the_last_digit(tmp_path: Path) -> None:
    direct, _ = score(REAL, FAKE, {"fid": FID}, LinearExtractor(), batch_size=32)
    written = write_statistics(
        measure_statistics(as_images(REAL, "real"), LinearExtractor(), tmp_path / "real.npz", batch_size=32)
    )
    found, evaluator = score(read_statistics(written), FAKE, {"fid": FID}, LinearExtractor(), batch_size=32)
    assert found == direct and list(found) == ["fid70[linear]"]  # verified: no further mark
    assert evaluator.protocol == "70 images of fake vs 90 images of real.npz, linear features" and not evaluator.floor


def test_our_file_is_what_others_read_and_write(tmp_path: Path, theirs: dict[str, Any]) -> None:
    path = write_statistics(measure_statistics(as_images(REAL, "real"), LinearExtractor(), tmp_path / "real.npz"))
    with np.load(path) as file:  # pytorch-fid: f["mu"][:], f["sigma"][:]
        assert file["mu"].dtype == file["sigma"].dtype == np.float64
        assert np.allclose(file["mu"], theirs["mu"]) and np.allclose(file["sigma"], theirs["sigma"])
        assert (file["num_images"], file["extractor"], file["fingerprint"]) == (90, "linear", "linear")


@pytest.mark.parametrize("kind", ["npz", "pt", "pt of tensors", "npz of float32"])
def test_files_of_others_give_the_same_distance_and_are_marked(
    kind: str, tmp_path: Path, theirs: dict[str, Any]
) -> None:
    direct, _ = score(REAL, FAKE, {"fid": FID}, LinearExtractor())
    path = tmp_path / f"their.{kind.partition(' ')[0]}"
    if kind.startswith("npz"):
        saved(path, **{name: a.astype("f4") if "32" in kind else a for name, a in theirs.items()})
    else:
        torch.save({name: torch.from_numpy(a) if "tensors" in kind else a for name, a in theirs.items()}, path)
    found, evaluator = score(read_statistics(path), FAKE, {"fid": FID}, LinearExtractor())
    tolerance = 1e-5 if "32" in kind else 1e-9
    assert found == {"fid70[linear-unverified]": pytest.approx(direct["fid70[linear]"], rel=tolerance)}
    assert evaluator.protocol == f"70 images of fake vs images of {path.name}, unverified linear features"
    assert list(score(read_statistics(path), FAKE, {"fid": FID}, Plain())[0]) == ["fid70[unverified]"]


def test_statistics_in_python_by_their_path(tmp_path: Path, theirs: dict[str, Any]) -> None:
    path = saved(tmp_path / "s.npz", **theirs)
    assert list(compare(str(path), FAKE, ["fid"], LinearExtractor())) == ["fid70[linear-unverified]"]
    assert list(compare(path, FAKE, extractor=LinearExtractor())) == ["fid70[linear-unverified]"]


@pytest.mark.parametrize(("name", "metric"), [("kid", KID), ("precision_recall", PrecisionRecall)])
def test_other_metrics_are_refused_and_left_out_of_a_preset(
    name: str, metric: Any, tmp_path: Path, theirs: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    known = read_statistics(saved(tmp_path / "s.npz", **theirs))
    sentence = rf"metrics=\[{name}\] cannot be measured against s\.npz, which holds the mean .* use metrics=\[fid\]"
    with pytest.raises(UserError, match=sentence):
        score(known, FAKE, {"fid": FID, name: metric}, LinearExtractor())
    found, _ = score(known, FAKE, {"fid": FID, name: metric, "full": Preset(["fid", name])}, LinearExtractor())
    assert list(found) == ["fid70[linear-unverified]"] and f"Left out {name}: " in capsys.readouterr().out


def test_another_extractor_is_refused(tmp_path: Path) -> None:
    path = write_statistics(measure_statistics(as_images(REAL, "real"), LinearExtractor(), tmp_path / "real.npz"))
    with pytest.raises(UserError, match=r"was measured by linear \(linear\), and samples would be by linear \(other\)"):
        score(read_statistics(path), FAKE, {"fid": FID}, Other())


EYE, ZERO = np.eye(6), np.zeros(6)
BROKEN = {
    "has statistics of 5 features, and extractor=linear has 6": {"mu": np.zeros(5), "sigma": np.eye(5)},
    r"mu of shape \(6,\) and sigma of shape \(6, 5\)": {"mu": ZERO, "sigma": EYE[:, :5]},
    "sigma is not symmetric": {"mu": ZERO, "sigma": EYE + np.triu(np.ones((6, 6)), 1)},
    "sigma is no covariance, as it has negative": {"mu": ZERO, "sigma": np.diag([1.0, 1, 1, 1, 1, -0.5])},
    "mu does not hold finite numbers": {"mu": ZERO * np.nan, "sigma": EYE},
    "sigma does not hold finite numbers": {"mu": ZERO, "sigma": EYE.astype(str)},
    "has no sigma: statistics are the mean mu": {"mu": ZERO},
    r"cannot be read as statistics \(ValueError\)": {"mu": ZERO, "sigma": EYE.astype(object)},  # a pickle
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_broken_file_is_one_sentence(sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"s\.npz:? .*{sentence}|s\.npz: {sentence}"):
        score(read_statistics(saved(tmp_path / "s.npz", **BROKEN[sentence])), FAKE, {"fid": FID}, LinearExtractor())


def test_what_is_no_file_of_statistics_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file .*gone\.npz"):
        read_statistics(tmp_path / "gone.npz")
    for name in ("text.npz", "text.pt"):
        (tmp_path / name).write_text("no archive")
        with pytest.raises(UserError, match=rf"{name} cannot be read as statistics"):
            read_statistics(tmp_path / name)
    np.save(tmp_path / "one.npy", EYE)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(UserError, match=r"one\.npz cannot be read as statistics"):
        read_statistics(tmp_path / "one.npz")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match=r"list\.pt has no mu"):
        read_statistics(tmp_path / "list.pt")


class Attack:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> Any:
        return Path.touch, (self.proof,)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    torch.save({"mu": Attack(tmp_path / "proof"), "sigma": EYE}, tmp_path / "s.pt")
    saved(tmp_path / "s.npz", mu=np.array([Attack(tmp_path / "proof")]), sigma=EYE)
    for name in ("s.pt", "s.npz"):
        with pytest.raises(UserError, match="cannot be read as statistics"):
            read_statistics(tmp_path / name)
    assert not (tmp_path / "proof").exists()


def test_a_trained_generator_is_compared_without_its_data(tmp_path: Path) -> None:
    network = DCGANGenerator(8, 1, latent_dim=4, width=4)
    entry = {"format": 1, "config": None, "networks": {"generator": network.arguments}, "scores": {}}
    state = {f"generator.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state, "gan_lightning": entry}, tmp_path / "last.ckpt")

    class Eight(LinearExtractor):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            return super().forward(images[:, :, ::2, ::2])

    known = read_statistics(saved(tmp_path / "s.npz", mu=ZERO, sigma=EYE))
    generators = TrainedGenerators(extractor=Eight(), num_fakes=30, statistics=known)
    generators.load(tmp_path / "last.ckpt")
    assert list(generators.measure()) == ["fid30[linear-unverified]"]
    assert generators.evaluator.protocol.startswith("30 EMA samples (seed 0) vs images of s.npz, unverified")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a folder that holds the folders of images "real" and "fake"."""
    for name, images in (("real", REAL), ("fake", FAKE)):
        (tmp_path / name).mkdir()
        for index, image in enumerate(images):
            Image.fromarray(image[0].numpy()).save(tmp_path / name / f"{index:03d}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> dict[str, Any]:
    config = evaluate.compose([*words, "device=cpu"])
    config.extractor = {"_target_": f"{__name__}.Grey"}
    return evaluate(config)


def test_the_command_line_writes_and_reads_them(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("real=real", "save_stats=new/real.npz")["images"] == 90
    assert "written: new/real.npz, 6 features of 90 images of real" in capsys.readouterr().out
    direct = run("real=real", "fake=fake", "metrics=[fid]")["scores"]
    result = run("real=new/real.npz", "fake=fake")  # fid alone, without metrics=
    assert result["scores"] == direct and list(direct) == ["fid70[linear]"]
    assert "70 images of fake vs 90 images of real.npz" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["real=s.npz"], "give both real=FOLDER and fake=FOLDER"),
        (["real=real", "ckpt=run"], r"real=real beside ckpt=\.\.\. is no file of statistics"),
        (["real=real", "fake=fake", "save_stats=s.npz"], r"real=FOLDER alone: leave fake=\.\.\. out"),
        (["ckpt=run", "save_stats=s.npz"], "Say what to measure: real=FOLDER save_stats=FILE"),
        (["real=s.npz", "save_stats=t.npz"], "give real=FOLDER, and no metrics"),
        (["real=real", "save_stats=t.npz", "metrics=[fid]"], "give real=FOLDER, and no metrics"),
        (["real=real", "save_stats=t.pt"], r"save_stats=t\.pt is no file of statistics: give one that ends in \.npz"),
        (["real=s.npz", "fake=fake", "metrics=[is]"], r"metrics=\[is\] cannot be measured against s\.npz"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, folders: Path) -> None:
    saved(folders / "s.npz", mu=ZERO, sigma=EYE)
    with pytest.raises(UserError, match=sentence):
        run(*words)
    assert not list(folders.glob("t.*"))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"save_stats=.*file/s\.npz cannot be written \("):
        check_target(tmp_path / "file/s.npz")
