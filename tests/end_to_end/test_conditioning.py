"""Every conditioning and every way to use the loss trains from the command's configuration, and tells its terms."""

import csv
import math
from pathlib import Path

import pytest
import torch

from gan_lightning import load
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError

TINY = [
    "model.generator.width=8",
    "model.discriminator.backbone.width=8",
    "data.image_size=8",
    "data.batch_size=32",
    "max_epochs=1",
    "trainer.limit_train_batches=2",
    "trainer.accelerator=cpu",
    "callbacks=[sample_grid,checkpoint]",
    "logger=[csv]",
    "metrics=[]",
    "log_every=1",
]
CLASSES = {"classification"}
TERMS = {
    "none": set(),
    "concat": set(),
    "projection": set(),
    "multi_head": set(),
    "multi_hinge": {"multi_hinge"},
    "acgan": CLASSES,
    "tacgan": CLASSES | {"twin"},
    "adcgan": CLASSES,
    "contragan": {"contrastive"},
    "reacgan": {"contrastive"},
    "infogan": {"categories", "continuous"},
}


def scalars(folder):
    with open(Path(folder) / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: float(value) for row in rows for name, value in row.items() if value}


@pytest.mark.parametrize("conditioning", TERMS)
def test_every_conditioning_trains_and_reports_its_terms(conditioning, tmp_path):
    told = train([*TINY, f"conditioning={conditioning}", f"run_dir={tmp_path}/run"])
    found = scalars(told["run_dir"])
    losses = {name.removeprefix("loss/") for name in found if name.startswith("loss/")}
    game = set() if conditioning == "multi_hinge" else {"discriminator", "generator"}
    assert losses == game | {f"{name}_{who}" for name in TERMS[conditioning] for who in ("discriminator", "generator")}
    assert all(math.isfinite(value) for value in found.values())
    images = load(told["run_dir"]).sample(3)
    assert images.shape == (3, 1, 8, 8) and torch.isfinite(images).all()


def test_an_infogan_leaves_codes_to_set(tmp_path):
    options = ["conditioning=infogan", "conditioning.head.categories=[4]", "conditioning.head.continuous=1"]
    folder = train([*TINY, *options, f"run_dir={tmp_path}/run"])["run_dir"]
    assert (Path(folder) / "codes.png").exists()
    loaded = load(folder)
    assert not torch.equal(loaded.sample(2, codes=[0, 1.0]), loaded.sample(2, codes=[3, -1.0]))
    resumed = train([f"resume={folder}", "trainer.limit_train_batches=3"])
    assert resumed["images_seen"] >= 64  # the optimiser of the generator, which has Q's parameters as well, loads


@pytest.mark.parametrize("option", ["loss=relativistic_average_hinge", "loss=dual_contrastive",
                                    "loss=least_squares_pearson", "generator_loss=top_k",
                                    "generator_loss=feature_matching"])  # fmt: skip
def test_every_use_of_the_loss_trains(option, tmp_path):
    found = scalars(train([*TINY, option, f"run_dir={tmp_path}/run"])["run_dir"])
    term = "feature_matching" if "feature" in option else "generator"
    assert math.isfinite(found["loss/discriminator"]) and math.isfinite(found[f"loss/{term}"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["conditioning=acgan", "data=ring", "model=mlp2d"], "unlabelled"),
        (["conditioning=infogan", "model.generator.latent_dim=10"], "leave no noise"),
        (["conditioning=infogan", "conditioning.head.categories=[1]"], "cannot be drawn"),
        (["generator_loss.top_k=0"], "both are shares above 0"),
    ],
)
def test_what_cannot_work_is_a_sentence_before_training(overrides, words, tmp_path):
    base = [word for word in TINY if not ("data" in word or "width" in word)] if "data=ring" in overrides else TINY
    with pytest.raises(UserError, match=words):
        train([*base, *overrides, f"run_dir={tmp_path}/run"])
    assert not (tmp_path / "run" / "metrics.csv").exists()
