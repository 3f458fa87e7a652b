"""Every augmentation, and the regularisers that any model takes, train a tiny DCGAN on the digits."""

from pathlib import Path

import pytest
import torch

from gan_lightning.cli.train import train
from gan_lightning.errors import UserError

CONF = Path(__file__).parents[2] / "conf"
AUGMENTS = sorted(path.stem for path in (CONF / "augment").glob("*.yaml"))
REGULARIZERS = [
    "gradient_penalty_one_sided",
    "max_gradient_penalty",
    "dragan",
    "orthogonal",
    "consistency",
    "balanced_consistency",
    "latent_consistency",
    "lecam",
]
TINY = [
    "model=dcgan",
    "data=digits",
    "model.generator.width=4",
    "model.discriminator.backbone.width=4",
    "model.discriminator.backbone.norm=layer",  # penalties of each sample's gradient refuse batch norm
    "data.image_size=8",
    "data.batch_size=8",
    "callbacks=[checkpoint]",
    "logger=[csv]",
    "metrics=[]",
    "log_every=2",
    "max_epochs=1",
    "trainer.accelerator=cpu",
    "trainer.limit_train_batches=2",
]


def run(folder, *words):
    train([*TINY, *words, f"run_dir={folder}"])
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["gan_lightning"]["iteration"] == 2
    return saved["state_dict"], (folder / "metrics.csv").read_text()


@pytest.mark.parametrize("name", AUGMENTS)
def test_augment(name, tmp_path):
    state, logged = run(tmp_path / "run", f"augment={name}")
    adaptive = name.startswith(("ada", "apa"))
    assert ("augment.p" in state) == adaptive and ("augment/p" in logged) == adaptive
    assert ("augment/sigma" in logged) == (name == "instance_noise")


@pytest.mark.parametrize("name", REGULARIZERS)
def test_regularizer(name, tmp_path):
    _, logged = run(tmp_path / "run", f"regularizer=[{name}]")
    assert f"loss/{name}" in logged
    assert ("loss/latent_diversity" in logged) == (name == "latent_consistency")


def test_all_of_adas_groups_with_lazy_r1_and_consistency(tmp_path):
    groups = "augment.groups=[blit,geometry,color,filter,noise,cutout]"
    words = ["augment=ada", groups, "augment.p=0.5", "regularizer=[r1,consistency,lecam]", "regularizer.r1.every=2"]
    state, logged = run(tmp_path / "run", *words)
    assert state["augment.p"] == 0.5 and "loss/r1" in logged and "regularizer_state.lecam.real" in state


@pytest.mark.parametrize("augment", ["ada", "apa"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, augment):
    """p, the signs since it last moved, and LeCam's running means go on; 5 iterations are not a multiple of 4."""
    steered = [f"augment={augment}", "augment.target=-0.9", "augment.kimg=0.5", "augment.p=0.2"]
    words = [*TINY, *steered, "regularizer=[lecam,r1]", "regularizer.lecam.start=2", "callbacks=[limit,checkpoint]"]
    words += ["data.batch_size=64", "trainer.limit_train_batches=null", "max_epochs=null"]
    states = []
    for name, lengths in {"whole": (0.64,), "parts": (0.32, 0.64)}.items():
        folder = tmp_path / name
        train([*words, f"max_kimg={lengths[0]}", f"run_dir={folder}"])
        for longer in lengths[1:]:
            train([f"resume={folder}", f"max_kimg={longer}"])
        states.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    whole, parts = states
    assert whole["augment.p"] != 0.2 and whole["regularizer_state.lecam.real"] != 0
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_image_operations_on_points_are_a_sentence(tmp_path):
    words = ["model=mlp2d", "data=ring", "augment=diffaugment", "callbacks=[]", "max_epochs=1"]
    with pytest.raises(UserError, match="augment=instance_noise"):
        train([*words, "trainer.accelerator=cpu", f"run_dir={tmp_path}/run"])
