"""Seeded random weights in the place of Inception's real ones."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from torch import nn


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
