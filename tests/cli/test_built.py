"""Networks that a constraint kills or cannot bound, and batches too small for them, are refused once they are built."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from torch import nn

from gan_lightning.cli import build
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from gan_lightning.modules import duel_data
from gan_lightning.modules.duel import Duel
from gan_lightning.networks.base import BatchSize
from gan_lightning.regularizers import WeightClipping
from tests.cli.test_compose import run, tiny

FIXED = "groups of 2 to 4 samples, into which the "
REFUSED = {
    **{f"model={model} regularizer=[weight_clipping]": "bounds nothing under the spectral norm in the discriminator ("
       for model in ("biggan", "biggan_deep", "fastgan", "sagan", "sngan")},
    **{f"model={model} regularizer=[weight_clipping]": "so that scores would die: use regularizer=[gradient_penalty]"
       for model in ("progan", "stylegan", "stylegan2")},
    "model=stylegan2 data.batch_size=7": f"{FIXED}7 that data.batch_size=7 lets through at a time cannot be divided",
    "model=stylegan2 data.batch_size=1": "take data.batch_size=2, or model.discriminator.backbone.group_size=0",
    "model=progan data.batch_size=20 model.accumulate=4": "the 5 that data.batch_size=20 lets through at a time",
    "model=stylegan data.batch_size=14 model.discriminator.pack=2": "take data.batch_size=16, or",
}  # fmt: skip
ALLOWED = [
    "model=sngan model.discriminator.backbone.spectral_norm=false regularizer=[weight_clipping]",
    "model=r3gan regularizer=[weight_clipping]",
    "model=stylegan2 data.batch_size=7 model.discriminator.backbone.group_size=0",
    "model=stylegan2 data.batch_size=9",  # groups of three
    "model=dcgan data.batch_size=7",
    "model=progan data.batch_size=24 model.accumulate=4",
]


def configured(line: str, folder: Path) -> DictConfig:
    given = [word for word in line.split() if word.startswith("data.batch_size")]
    config = tiny("data=digits", "callbacks=[nan_guard]", "logger=[]", *(w for w in line.split() if w not in given))
    if given:
        config.data.batch_size = int(given[0].partition("=")[2])
    config.run_dir = str(folder)
    return config


@pytest.mark.parametrize("line", REFUSED)
def test_what_its_discriminator_cannot_train_with_is_one_sentence(line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train(configured(line, tmp_path / "run"))
    said = str(caught.value)
    assert REFUSED[line] in said and "\n" not in said and said.endswith("."), said
    assert not (tmp_path / "run/config.yaml").exists()


@pytest.mark.parametrize("line", ALLOWED)
def test_what_it_can_train_with_runs(line: str, run_folder: Path) -> None:
    run(configured(line, run_folder), run_folder)


def test_each_way_out_of_a_batch_without_groups_is_one(run_folder: Path) -> None:
    """The batch that the sentence names passes the check, whatever the pieces, packs and largest group."""
    for size, parts, pack, group in ((7, 1, 1, 4), (20, 4, 1, 4), (1, 1, 1, 4), (74, 1, 2, 32), (66, 6, 1, 8)):
        config = tiny("model=stylegan2", "data=digits", f"model.discriminator.backbone.group_size={group}")
        config.model.discriminator.pack = pack
        config.run_dir = str(run_folder)
        module = build.module(config)
        with pytest.raises(UserError, match=r"data\.batch_size=\d+, or") as caught:
            duel_data.check_batch(module.duel, BatchSize(size, parts, pack))
        named = int(str(caught.value).rpartition("data.batch_size=")[2].partition(",")[0])
        duel_data.check_batch(module.duel, BatchSize(named, parts, pack))
        assert size < named <= size + parts * pack


def normed(name: str) -> nn.Module:
    of = nn.utils.parametrizations.spectral_norm if name == "new" else nn.utils.spectral_norm
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 4), of(nn.Linear(4, 1)))


@pytest.mark.parametrize("name", ["new", "old"])
def test_pytorchs_own_spectral_norms_are_seen_too(name: str) -> None:
    """And what is said is so: after clipping the weight in use still has norm 1."""
    critic, clipping = normed(name), WeightClipping()
    with pytest.raises(UserError, match=r"regularizer=mine bounds nothing under the spectral norm .*\(2\)"):
        clipping.check("mine", Duel(None, critic))
    for _ in range(9):
        clipping.apply(critic)
        critic(torch.randn(2, 4))
    assert torch.linalg.matrix_norm(critic[2].weight, 2).item() == pytest.approx(1, abs=1e-3)
    clipping.check("mine", Duel(None, critic[:2]))
