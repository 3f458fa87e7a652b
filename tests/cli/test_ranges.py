"""A number that an option cannot be is refused by the constructor, and by the command before anything is built."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gan_lightning.augment import ADA, APA, FlipAndShift
from gan_lightning.callbacks import Checkpoint, Curves, Limit, Progress, SampleGrid, Target
from gan_lightning.callbacks.every import EveryKimg
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError, check_range
from gan_lightning.networks import StyleGAN2Generator, StyleGANGenerator
from gan_lightning.networks.heads import ContraHead, ReACHead
from gan_lightning.regularizers import DRAGAN, R1, BalancedConsistency, LatentConsistency, LatentDiversity
from gan_lightning.training.schedules import Cosine, LinearDecay

SMALL = {"image_size": 8, "channels": 1, "latent_dim": 4, "style_dim": 4, "mapping_layers": 1, "channel_max": 4}
REFUSED: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
    (Checkpoint, {"every_minutes": -1}, "callbacks.checkpoint.every_minutes=-1 is out of range"),
    (Checkpoint, {"every_minutes": 0}, "every_minutes=0"),
    (Checkpoint, {"every_kimg": math.nan}, "every_kimg=nan"),
    (SampleGrid, {"every_kimg": math.inf}, "callbacks.sample_grid.every_kimg=inf"),
    (SampleGrid, {"every_epochs": 0}, "every_epochs=0 is out of range: it is a finite number, at least 1"),
    (SampleGrid, {"gif_frames": -1}, "gif_frames=-1"),
    (SampleGrid, {"gif_side": 0}, "gif_side=0"),
    (Curves, {"every_seconds": -0.1}, "callbacks.curves.every_seconds=-0.1"),
    (Progress, {"refresh_per_second": -1}, "callbacks.progress.refresh_per_second=-1"),
    (Limit, {"max_kimg": math.inf}, "max_kimg=inf"),
    (Target, {"fid": -1}, "callbacks.target.fid=-1"),
    (Target, {"high_quality": 95}, "high_quality=95 is out of range: it is a finite number, at least 0 and at most 1"),
    (R1, {"weight": math.nan}, "weight=nan"),
    (DRAGAN, {"noise": -1}, "regularizer.dragan.noise=-1"),
    (BalancedConsistency, {"fake_weight": -1}, "regularizer.balanced_consistency.fake_weight=-1"),
    (LatentConsistency, {"std": -1}, "regularizer.latent_consistency.std=-1"),
    (LatentDiversity, {"std": -1}, "regularizer.latent_diversity.std=-1"),
    (FlipAndShift, {"ratio": 2}, "augment.ratio=2"),
    (ADA, {"target": 3}, "augment.target=3"),
    (APA, {"target": -2}, "augment.target=-2"),
    (ContraHead, {"feature_dim": 4, "num_classes": 3, "temperature": 0}, "conditioning.head.temperature=0"),
    (ReACHead, {"feature_dim": 4, "num_classes": 3, "temperature": -1}, "conditioning.head.temperature=-1"),
    (ReACHead, {"feature_dim": 4, "num_classes": 3, "margin": 1.5}, "conditioning.head.margin=1.5"),
    (LinearDecay, {"final": -1}, "schedule.final=-1"),
    (Cosine, {"start": -1}, "schedule.start=-1"),
    (StyleGANGenerator, {**SMALL, "mixing": 1.5}, "model.generator.mixing=1.5"),
    (StyleGAN2Generator, {**SMALL, "mixing": -1}, "model.generator.mixing=-1"),
]


@pytest.mark.parametrize(("make", "options", "said"), REFUSED)
def test_constructors_refuse(make: Callable[..., Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        make(**options)
    assert said in str(caught.value)


def test_a_range_holds_its_ends_and_lets_none_pass() -> None:
    check_range("here", 0, 1, low=0, high=1, none=None)
    with pytest.raises(UserError, match=r"here.low=0 is out of range: it is a finite number, above 0 and at most 1\."):
        check_range("here", 0, 1, above=True, low=0)


def test_a_part_of_an_image_counts_as_one() -> None:
    every = EveryKimg(1e-6)
    every.start(0)
    assert [every.due(images) for images in (0, 1, 1, 2)] == [False, True, False, True]


COMMAND = {
    "regularizer=[r1] regularizer.r1.weight=nan": "regularizer.r1.weight=nan is out of range: it is a finite number",
    "optim=sgd optim.momentum=inf": "optim.momentum=inf is out of range",
    "loss.real_label=nan": "loss.real_label=nan is out of range",
    "callbacks.target.fid=nan": "callbacks.target.fid=nan is out of range",
    "max_kimg=inf": "max_kimg=inf is not possible: it is a number above 0",
    "evaluation.every_kimg=inf": "evaluation.every_kimg=inf is not possible",
    "optim.generator=null": "optim.generator=null is not possible: it is an object, a node with a _target_",
    "ckpt_path=5": "ckpt_path=5 is not there",
    "augment=false": "augment=false names no option of the group augment: leave it out, or write augment=none",
    "latents=0.5": "latents=0.5 names no option of the group latents",
    "model.ema_kimg=-1": "model.ema_kimg=-1 is not possible: it is a number above 0",
    "model.ema_rampup=-1": "model.ema_rampup=-1 is not possible",
    "augment=ada augment.target=-2": "augment.target=-2 is out of range",
    "extractor.epochs=0": "extractor.epochs=0 is not possible: it is a whole number of at least 1",
    "metrics.is.splits=0": "metrics.is.splits=0 is not possible",
    "data=ring metrics.modes.radius=-1": "metrics.modes.radius=-1 is not possible",
}


@pytest.mark.parametrize("line", COMMAND)
def test_the_command_refuses(line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train(
            [*line.split(), "trainer=cpu", "trainer.limit_train_batches=1", "max_epochs=1", f"run_dir={tmp_path}/run"]
        )
    assert COMMAND[line] in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run/config.yaml").exists()
