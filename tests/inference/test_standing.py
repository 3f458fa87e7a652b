"""Standing statistics: what batch norm would have measured over those very batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.inference.load import load
from gan_lightning.inference.refinements import with_standing_statistics
from gan_lightning.networks.dcgan import DCGANGenerator
from gan_lightning.networks.mlp2d import MLP2dGenerator

Make = Callable[..., Any]
Save = Callable[..., Path]


def test_standing_statistics_are_those_of_the_batches(weathered: Make) -> None:
    network = weathered(MLP2dGenerator(latent_dim=3, width=6, depth=1, norm="batch"))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    inputs = [(torch.randn(10, 3),) for _ in range(4)]
    standing = with_standing_statistics(network, inputs)
    with torch.no_grad():
        values = torch.stack([network.layers[0](z) for (z,) in inputs])  # what the batch norm is given
    assert torch.allclose(standing.layers[1].running_mean, values.mean(1).mean(0), atol=1e-6)
    assert torch.allclose(standing.layers[1].running_var, values.var(1).mean(0), atol=1e-6)
    assert not any(module.training for module in standing.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_samples_with_standing_statistics(network: DCGANGenerator, saved: Save, checkpoint: Make) -> None:
    loaded = load(saved(checkpoint(network)))
    plain, standing = loaded.sample(70), loaded.sample(70, standing_batches=2)
    assert torch.equal(loaded.sample(70), plain) and (standing - plain).abs().max() > 0.01
    assert torch.allclose(loaded.sample(20, standing_batches=2, batch_size=7), standing[:20], atol=1e-5)
    with pytest.raises(UserError, match="standing_batches=-1 is no count"):
        loaded.sample(2, standing_batches=-1)


def test_truncated_samples_have_the_statistics_of_truncated_latents(
    network: DCGANGenerator, saved: Save, checkpoint: Make
) -> None:
    loaded = load(saved(checkpoint(network)))
    wide, narrow = (loaded.sampler(standing_batches=2, truncation=bound).network for bound in (9.0, 0.1))
    names = [name for name, _ in wide.named_buffers() if name.endswith("running_var")]
    assert names and narrow.get_buffer(names[0]).mean() < wide.get_buffer(names[0]).mean()
