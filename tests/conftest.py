"""Shared by all tests: one thread (two workers on two cores, exact resume), and caches of their own."""

from __future__ import annotations

import gc
import io
import os
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from lightning.pytorch.loggers import Logger
from torch import nn

from gan_lightning.paths import write_atomically

torch.set_num_threads(1)
gc.set_threshold(20_000, 20, 20)  # garbage is looked for less often, among half a million objects of imported packages


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let a test, and the fixtures made for it, draw the same numbers whatever ran before it in its worker."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of this session, the same one in each of its workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_cache(shared_folder: Path) -> Iterator[None]:
    """Keep what tests cache (statistics, classifiers) out of the user's cache and shared within one session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_LIGHTNING_CACHE", str(shared_folder / "cache"))
        yield


@pytest.fixture(autouse=True, scope="session")
def _options_are_read_once() -> Iterator[None]:
    """Keep what Hydra parsed of our configuration files, which it reads anew for each of thousands of compositions."""
    Plugins.instance()
    source = SourcesRegistry.instance().resolve("pkg")
    read, kept = source.load_config, dict[tuple[str, str, str], bytes]()

    def load_config(self: ConfigSource, config_path: str) -> ConfigResult:
        place = self.path, self.provider, config_path
        if place not in kept:
            kept[place] = pickle.dumps(read(self, config_path))
        return pickle.loads(kept[place])  # several times as fast as a deepcopy

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "load_config", load_config)
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
def inception_weights(shared_folder: Path) -> Path:
    """Return a file in the real format: torch-fidelity's own class with seeded random weights."""
    path = shared_folder / "inception.pth"
    if not path.exists():
        write_atomically(path, lambda unfinished: torch.save(_seeded_inception(), unfinished))
    return path


def _seeded_inception() -> dict[str, torch.Tensor]:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(0)
        patch.setattr(nn.Module, "load_state_dict", lambda *_: None)
        empty = io.BytesIO()
        torch.save({}, empty)
        empty.seek(0)
        network = FeatureExtractorInceptionV3("seeded", ["2048"], empty)
    return network.state_dict()
