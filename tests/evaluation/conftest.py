"""Each test of the evaluator has an empty cache, but for trained classifiers, which all of them share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache with the classifiers that tests before it have trained, and nothing else."""
    (shared_folder / "classifiers").mkdir(exist_ok=True)
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "classifiers").symlink_to(shared_folder / "classifiers")
    monkeypatch.setenv("GAN_LIGHTNING_CACHE", str(folder))
    return folder
