"""Discriminator rejection: samples are kept in proportion to a known density ratio, each index by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.inference.export import export_safetensors
from gan_lightning.inference.load import load
from gan_lightning.inference.refinements import Rejection
from gan_lightning.inference.sampler import Options, Sampler
from gan_lightning.networks.base import Network
from gan_lightning.networks.dcgan import DCGANBackbone, DCGANGenerator
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.heads import LinearHead, ProjectionHead
from gan_lightning.networks.progan import ProGANBackbone
from tests.inference.toys import Judge, Line

Make = Callable[..., Any]
Save = Callable[..., Path]


def test_the_probability_is_the_ratio_to_the_largest() -> None:
    logits = torch.tensor([-3.0, 0.5, 2.0])
    found = Rejection(logits).probability(torch.tensor([-3.0, 0.5, 1.0, 2.0, 5.0]))
    assert torch.allclose(found, torch.tensor([-5.0, -1.5, -1.0, 0.0, 0.0]).exp(), atol=1e-5)
    assert Rejection(torch.linspace(-4, 4, 101), 50.0).probability(torch.zeros(1)).item() == pytest.approx(0.5)


def test_points_are_kept_in_proportion_to_a_step() -> None:
    judge = Judge(lambda x: torch.where(x > 0, math.log(4), 0.0))
    points = Sampler(Line(), Options(rejection=True), judge).generate(0, 4000, 0, 500, None, None)
    assert (points > 0).float().mean().item() == pytest.approx(0.8, abs=0.02)


def test_rejection_turns_one_normal_law_into_another() -> None:
    """From N(0, 1) to N(0.5, 0.7^2): their ratio is bounded."""
    judge = Judge(lambda x: x.square() / 2 - ((x - 0.5) / 0.7).square() / 2)
    points = Sampler(Line(), Options(rejection=True), judge).generate(0, 4000, 0, 500, None, None).flatten()
    assert points.mean().item() == pytest.approx(0.5, abs=0.04) and points.std().item() == pytest.approx(0.7, abs=0.03)
    levels = torch.special.ndtr((points.sort().values - 0.5) / 0.7)
    assert (levels - torch.linspace(0, 1, len(levels))).abs().max() < 0.03


def test_a_sample_that_is_never_accepted_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gan_lightning.inference.sampler.MOST_ATTEMPTS", 3)
    with pytest.raises(UserError, match=r"Rejection found no sample number \d+ in 3 attempts"):
        Sampler(Line(), Options(rejection=True), Judge(lambda x: 50 * x)).generate(0, 9, 0, 9, None, None)
    with pytest.raises(UserError, match="logits are not finite"):
        Sampler(Line(), Options(rejection=True), Judge(lambda x: x / 0)).generate(0, 9, 0, 9, None, None)


def test_the_discriminator_of_the_checkpoint_judges(network: DCGANGenerator, saved: Save, judged: Make) -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(DCGANBackbone(8, 1, width=4), head=partial(ProjectionHead, num_classes=3)).eval()
    nn.init.normal_(discriminator.head.embedding.weight)
    loaded = load(saved(judged(network, discriminator)))
    judge = loaded.sampler(rejection=True).discriminator
    images, labels = torch.randn(5, 1, 8, 8), torch.tensor([0, 1, 2, 0, 1])
    assert judge is not None and torch.equal(judge(images, labels).logits, discriminator(images, labels).logits)
    whole = loaded.generate(0, 90, 4, rejection=True)
    assert torch.allclose(loaded.generate(60, 90, 4, batch_size=7, rejection=True), whole[60:], atol=1e-5)
    kept = (whole - loaded.generate(0, 90, 4)).flatten(1).abs().amax(1) < 1e-5
    assert 0 < kept.sum() < 90  # some are the plain samples, some had to be drawn again


def test_who_has_no_judge_of_single_samples_is_told(
    network: DCGANGenerator, saved: Save, judged: Make, checkpoint: Make, tmp_path: Path
) -> None:
    loaded = load(saved(checkpoint(network)))
    with pytest.raises(UserError, match="has no discriminator that can be built again"):
        loaded.sample(1, rejection=True)
    exported = export_safetensors(network, tmp_path / "shared/generator.safetensors", loaded.description)
    with pytest.raises(UserError, match=r"has no discriminator, which rejection.*give the \.ckpt file"):
        load(exported).sample(1, langevin_steps=2)
    pack = Discriminator(DCGANBackbone(8, 1, width=4), pack=2)
    with pytest.raises(UserError, match="judges several samples together"):
        load(saved(judged(network, pack), "pack.ckpt")).sample(1, rejection=True)
    stddev = Discriminator(ProGANBackbone(8, 1, channel_base=32))
    with pytest.raises(UserError, match="judges several samples together"):
        load(saved(judged(network, stddev), "stddev.ckpt")).sample(1, rejection=True)


def test_a_discriminator_outside_the_allow_list_is_not_imported(
    network: DCGANGenerator, saved: Save, judged: Make
) -> None:
    content = judged(network, Discriminator(DCGANBackbone(8, 1, width=4)))
    content["gan_lightning"]["networks"]["discriminator"]["backbone"] = {"_target_": "os.system", "command": "false"}
    loaded = load(saved(content))
    with pytest.raises(UserError, match=r"asks for the class os\.system"):
        loaded.sample(1, rejection=True)


class Mine(Network):
    """A user's discriminator: images to logits (N, 1), no labels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(size * size, 1)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.linear(images.flatten(1))


def test_a_users_own_discriminator_judges_when_it_is_trusted(
    network: DCGANGenerator, saved: Save, judged: Make
) -> None:
    path = saved(judged(network, Mine(8)))
    with pytest.raises(UserError, match=r"asks for the class .*Mine, which is not one of"):
        load(path).sample(1, rejection=True)
    assert load(path, trusted=[Mine]).sample(5, rejection=True).shape == (5, 1, 8, 8)


def test_checkpoints_from_before_the_modules_of_heads_are_judged(
    network: DCGANGenerator, saved: Save, judged: Make
) -> None:
    content = judged(network, Discriminator(DCGANBackbone(8, 1, width=4), head=LinearHead))
    content["gan_lightning"]["networks"]["discriminator"]["head"]["_target_"] = (
        "gan_lightning.networks.heads.LinearHead"
    )
    assert load(saved(content)).sample(2, rejection=True).shape == (2, 1, 8, 8)
