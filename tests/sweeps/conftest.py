from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STUB = Path(__file__).parent / "stub" / "stub.py"
REPOSITORY = Path(__file__).parents[2]


def start(arguments: list[str], folder: Path, script: Path = STUB, **environment: str) -> subprocess.Popen:
    """Start a script as a shell would: Ctrl-C reaches it even where the tests themselves run in the background."""
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.fixture
def stub(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs the stub's command line in `tmp_path`."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
        process = start(list(arguments), tmp_path, **environment)
        out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def start_stub(tmp_path: Path) -> Callable[..., subprocess.Popen]:
    return lambda *arguments: start(list(arguments), tmp_path)


@pytest.fixture
def seen(tmp_path: Path) -> Callable[[int], dict]:
    """Return a function that reads what job number n saw."""
    return lambda number: json.loads((tmp_path / "sweep" / str(number) / "seen.json").read_text())


@pytest.fixture
def train_command() -> Callable[..., subprocess.CompletedProcess]:
    """Return a function that runs `python train.py` with arguments in a folder."""

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        process = start(list(arguments), folder, REPOSITORY / "train.py", PYTHONPATH=str(folder), OMP_NUM_THREADS="1")
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run
