"""The real command line, as a user types it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(words: list[str], folder: Path, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` in `folder`, on one thread, and check its exit status; what it printed is in the result."""
    kept = {name: value for name, value in os.environ.items() if name not in ("LOCAL_RANK", "HYDRA_FULL_ERROR")}
    everything = {**kept, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **environment}
    ended = subprocess.run(
        [sys.executable, *words], cwd=folder, env=everything, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == status, f"{words}\n{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    return ended


def run_here(main: Callable[[], None], words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do the same in this process: a tenth of the CPU time, for what does not need a process of its own."""
    monkeypatch.setattr(sys, "argv", list(words))
    monkeypatch.chdir(folder)
    main()
