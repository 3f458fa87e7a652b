"""Shared by all tests: one thread (two cores, exact resume), and caches of their own."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import Logger
from torch import nn

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests cache (statistics, classifiers) out of the user's cache and shared within one session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _no_process_group_left() -> Iterator[None]:
    """Leave what a test joined, and the addresses that Lightning put into the environment for its child processes."""
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE", "GAN_LIGHTNING_PARENT"):
        os.environ.pop(name, None)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Return an empty folder for a run."""
    return tmp_path / "run"


class Rows(Logger):
    """A logger that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []

    name, version = "rows", 0

    def log_metrics(self, metrics, step=None):
        self.rows.append(dict(metrics))

    def log_hyperparams(self, *args, **kwargs):
        pass


def fit(module, datamodule, batches=2, max_epochs=1, **options):
    """Train for `batches` iterations an epoch on the CPU; return the trainer, whose `loggers[0].rows` has all."""
    module.options = replace(module.options, log_every=options.pop("log_every", module.options.log_every))
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        limit_train_batches=batches,
        log_every_n_steps=1,
        logger=Rows(),
        **quiet,
        **options,
    )
    trainer.fit(module, datamodule=datamodule)
    return trainer


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file in the real format: torch-fidelity's own class with seeded random weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(nn.Module, "load_state_dict", lambda *_: None)
        empty = io.BytesIO()
        torch.save({}, empty)
        empty.seek(0)
        network = FeatureExtractorInceptionV3("seeded", ["2048"], empty)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(network.state_dict(), path)
    return path
