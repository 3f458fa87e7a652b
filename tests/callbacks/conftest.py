"""The fixture `fit` for all callbacks' tests."""

from __future__ import annotations

from tiny_run import fit

__all__ = ["fit"]
