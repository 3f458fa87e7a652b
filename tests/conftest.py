"""Shared by all tests: one thread (two cores, exact resume), and caches of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what tests cache (statistics, classifiers) out of the user's cache and shared within one session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_LIGHTNING_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Return an empty folder for a run."""
    return tmp_path / "run"
