"""Two processes are one: each half of a batch draws, makes and judges its rows of the whole."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from gan_lightning import GAN
from gan_lightning.augment import APA
from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks import Discriminator, StyleGAN2Backbone, StyleGAN2Generator
from gan_lightning.networks.heads import InfoHead
from gan_lightning.networks.stylegan2 import MappedProjectionHead
from gan_lightning.networks.styles import Noise
from gan_lightning.regularizers import R1, PathLength
from gan_lightning.training.engine import Engine
from gan_lightning.training.step import Rows, Step
from tests.duel_step import begin

SIZE, CLASSES = 8, 3
CLASSED = {"num_classes": CLASSES, "head": partial(MappedProjectionHead, num_classes=CLASSES, mapping_layers=1)}
GAMES: dict[str, dict[str, Any]] = {
    "projection": CLASSED,
    "infogan": {"head": partial(InfoHead, categories=(3,), continuous=2)},
    "logan": {"latent_optimization": LatentOptimization(step_size=5.0), **CLASSED},
    "apa": {"augment": APA(p=0.5, target=None), **CLASSED},
    "pack": {"pack": 2},
}


def made(num_classes: int = 0, latent_optimization: Any = None, augment: Any = None, **critic: Any) -> GAN:
    """Return a small StyleGAN2, without what is each process's own: pixel noise, and statistics over its batch."""
    torch.manual_seed(0)
    generator = StyleGAN2Generator(8, 1, num_classes, 12, 6, mapping_layers=1, channel_max=4, mixing=0.7)
    discriminator = Discriminator(StyleGAN2Backbone(8, 1, channel_max=4, group_size=1), **critic)
    for module in (discriminator.head, *(m for m in generator.modules() if isinstance(m, Noise))):
        module.eval()  # of the heads InfoGAN's has a batch norm
    options = {"latent_optimization": latent_optimization, "augment": augment}
    game = GAN(generator, discriminator, regularizers={"r1": R1(1.0)}, ema_kimg=None, seed=1, **options)
    game.configure_optimizers()
    return game


def step_of(module: GAN, start: int, stop: int) -> Step:
    """Return the step of the process that has the rows [start, stop) of a batch of 8."""
    stream = torch.Generator().manual_seed(2)
    batch = {"image": torch.rand(SIZE, 1, 8, 8, generator=stream), "label": torch.arange(SIZE) % CLASSES}
    rows = {name: values[start:stop] for name, values in batch.items()}
    return Step(rows, seed=1, iteration=5, rows=Rows(start, stop, SIZE))


def read(module: GAN, played: Step) -> dict[str, Tensor]:
    """Return what each sample, or pack, gets in a step."""
    step = begin(module.duel.at(played), "generator")
    found = {name: getattr(step, name) for name in ("latents", "fake", "fake_logits", "real", "real_logits")}
    if step.fake_labels is not None:
        found["labels"] = step.fake_labels
    found["path lengths"] = PathLength(batch_shrink=2)._lengths(step)
    return {name: values.detach() for name, values in (found | step.generator_inputs).items()}


def gradients(module: GAN, step: Step) -> dict[str, Tensor]:
    """Return what each player would step along, by parameter."""
    found, phases = {}, module.phases()
    module.requires_grad_(True)
    for phase, turn in zip(phases, Engine(phases, share=False).turns(range(len(phases))), strict=True):
        step.begin(turn)
        module.zero_grad()
        ((player, loss),) = phase.losses.items()
        sum(value for terms in loss(step) for value in terms.values()).backward()
        mine = {id(p) for p in player.parameters}
        found |= {
            f"{phase.name}: {name}": p.grad.clone()
            for name, p in module.named_parameters()
            if id(p) in mine and p.grad is not None
        }
    return found


@pytest.mark.parametrize("name", GAMES)
def test_two_halves_are_the_whole(name: str) -> None:
    module = made(**GAMES[name])
    whole, *halves = (step_of(module, *rows) for rows in ((0, 8), (0, 4), (4, 8)))
    expected, first, second = (read(module, step) for step in (whole, *halves))
    for key, values in expected.items():
        torch.testing.assert_close(torch.cat([first[key], second[key]]), values, msg=lambda m, key=key: f"{key}: {m}")
        assert not torch.equal(*values.chunk(2)), f"{key} could be any process's"

    along, *parts = (gradients(module, step) for step in (whole, *halves))
    assert along.keys() == parts[0].keys() == parts[1].keys() and len(along) > 20
    for key, values in along.items():
        mean = (parts[0][key] + parts[1][key]) / 2
        torch.testing.assert_close(mean, values, rtol=1e-4, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}")
