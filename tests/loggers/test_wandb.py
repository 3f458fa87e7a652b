"""W&B offline: what a run leaves on disk is what its dashboard will show."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import lightning as L
import pytest
from tiny_run import Score, TinyData, gan
from wandb_file import OfflineRun, read

from gan_lightning.callbacks import Checkpoint, SampleGrid, Throughput
from gan_lightning.errors import UserError
from gan_lightning.loggers import WandbLogger
from gan_lightning.loggers.wandb import offline_reason

LOGIN_VARIABLES = ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_IDENTITY_TOKEN_FILE", "NETRC", "https_proxy")


@pytest.fixture(autouse=True)
def _no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*LOGIN_VARIABLES, "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def train(folder: Path, scores: list[dict[str, float]], resume: Path | None = None) -> Checkpoint:
    module, checkpoint = gan(), Checkpoint()
    module.config = {"model": {"depth": 3, "betas": [0.0, 0.9]}, "seed": 1}
    module.protocol = "9 EMA samples (seed 0) vs 9 train images"
    trainer = L.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        max_epochs=len(scores),
        callbacks=[Throughput(), Score(*scores), SampleGrid(rows=2, columns=2), checkpoint],
        logger=[WandbLogger(folder)],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, TinyData(), ckpt_path=resume)
    return checkpoint


def runs(folder: Path) -> list[OfflineRun]:
    paths = sorted(folder.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.parent.name)
    return [whole(path) for path in paths]


def whole(path: Path) -> OfflineRun:
    """Read a run that is over: W&B's own process may write its end a moment after `finish` returns."""
    end = time.monotonic() + 20
    while (run := read(path)).exit_code is None and time.monotonic() < end:
        time.sleep(0.1)
    return run


@pytest.mark.slow
def test_offline_round_trip_over_a_resume(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(
        run_folder,
        [
            {"fid9_train[classifier]": 5.0, "is9[classifier]": 1.0},
            {"fid9_train[classifier]": 7.0, "is9[classifier]": 2.0},
        ],
    )
    printed = capsys.readouterr().out
    assert "offline (not logged in" in printed
    assert f"wandb sync {run_folder.resolve()}/wandb/offline-run-" in printed

    (run,) = runs(run_folder)
    assert run.id == (run_folder / "wandb_id").read_text()
    assert run.exit_code == 0
    assert run.config["model"] == {"depth": 3, "betas": [0.0, 0.9]} and run.config["seed"] == 1
    assert run.config["protocol"] == "9 EMA samples (seed 0) vs 9 train images"
    assert run.axes["*"] == "images_seen"
    losses = [(row["images_seen"], row["loss/discriminator"]) for row in run.history if "loss/discriminator" in row]
    assert [seen for seen, _ in losses] == [16, 32, 48, 64]
    names = {"loss/generator", "D(x)", "D(G(z))", "gradient_norm/discriminator", "gradient_norm/generator"}
    names |= {"lr/discriminator", "lr/generator", "images_per_second", "is9[classifier]", "epoch"}
    assert names <= set().union(*run.history)
    assert [(r["images_seen"], r["fid9_train[classifier]"]) for r in run.history if "fid9_train[classifier]" in r] == [
        (32, 5),
        (64, 7),
    ]
    assert all("trainer/global_step" not in row for row in run.history)
    assert run.summary["best/fid9_train[classifier]"] == 5.0 and run.summary["best/is9[classifier]"] == 2.0
    assert [row["images_seen"] for row in run.history if "samples/_type" in row] == [0, 32, 64]
    assert len(list(run_folder.glob("wandb/offline-run-*/files/media/images/samples_*.png"))) == 3

    train(run_folder, [{}, {}, {"fid9_train[classifier]": 6.0}], resume=run_folder / "checkpoints" / "last.ckpt")
    command = capsys.readouterr().out.splitlines()[-1]
    first, second = runs(run_folder)
    assert first.id == second.id and command.count(f"-{first.id}") == 2
    assert second.summary["best/fid9_train[classifier]"] == 5.0
    assert {row["images_seen"] for row in second.history} >= {80, 96}


def test_the_reason_for_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reachable = lambda *_, **__: socket.socket()  # noqa: E731
    monkeypatch.setattr(socket, "create_connection", reachable)
    assert "not logged in" in offline_reason()
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password " + "x" * 40)
    (tmp_path / ".netrc").chmod(0o600)
    assert offline_reason() is None
    monkeypatch.setenv("WANDB_BASE_URL", "https://own.example")
    assert "not logged in" in offline_reason()
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert offline_reason() is None

    def unreachable(*_: object, **__: object) -> None:
        raise OSError

    monkeypatch.setattr(socket, "create_connection", unreachable)
    assert offline_reason() == "no network: own.example can't be reached"
    monkeypatch.setenv("WANDB_MODE", "online")
    assert offline_reason() is None
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert offline_reason() == "WANDB_MODE=offline"


def test_online_by_force_without_a_login_is_refused(run_folder: Path) -> None:
    with pytest.raises(UserError, match="offline=false, but W&B is not logged in"):
        WandbLogger(run_folder, offline=False).log_metrics({"fid": 1.0}, step=8)


def test_other_ranks_start_nothing(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.utilities.rank_zero import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = WandbLogger(run_folder)
    logger.log_metrics({"fid": 1.0}, step=8)
    logger.experiment.log({"x": 1})
    logger.finalize("success")
    assert not run_folder.exists()
