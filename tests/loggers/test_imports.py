"""Heavy packages wait until they are used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys, torch, lightning
there = set(sys.modules)
import gan_lightning.callbacks, gan_lightning.loggers
from gan_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger
CSVLogger("x"), TensorBoardLogger("x"), WandbLogger("x")
gan_lightning.callbacks.SampleGrid(), gan_lightning.callbacks.Curves(), gan_lightning.callbacks.Progress()
heavy = "matplotlib", "wandb", "tensorboard", "pandas", "sklearn", "onnx", "torch_fidelity"
print([name for name in heavy if name in sys.modules and name not in there])
"""


@pytest.mark.slow
def test_importing_and_building_callbacks_and_loggers_imports_nothing_heavy() -> None:
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    out = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
