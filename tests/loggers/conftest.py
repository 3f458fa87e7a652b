"""The tiny run of the callbacks' tests, for loggers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "callbacks"))

from tiny_run import fit

__all__ = ["fit"]
