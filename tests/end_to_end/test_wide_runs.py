"""Runs on pictures that are not square: from the command line to samples, scores, and a run that is taken up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import gan_lightning
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError

SHORT = "trainer=cpu max_epochs=1 +trainer.limit_train_batches=2 data.batch_size=8 callbacks=[checkpoint] logger=[csv]"
DIGITS = f"data=digits data.image_size=[16,32] data.fit=pad metrics=[] {SHORT}"
NARROW = "model.generator.channel_max=4 model.discriminator.backbone.channel_max=4"
MODELS = {
    "mlp": "model.generator.hidden=[8] model.discriminator.backbone.hidden=[8]",
    "dcgan": "model.generator.width=4 model.discriminator.backbone.width=4 augment=diffaugment conditioning=concat",
    "sagan": "model.generator.width=2 model.discriminator.backbone.width=2 model.discriminator.backbone.attention=8",
    "progan": f"{NARROW} model.growth.stable_kimg=0.004 model.growth.fade_kimg=0.008",
    "stylegan2": f"{NARROW} regularizer.r1.every=1 regularizer.path_length.every=1 augment=ada augment.p=0.5 "
    "augment.groups=[geometry,color,filter,noise,cutout] augment.target=null",
    "r3gan": "model.generator.width=16 model.discriminator.backbone.width=16",
    "fastgan": "model.generator.width=4 model.discriminator.backbone.width=4",
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_on_wide_pictures(name: str, run_folder: Path) -> None:
    words = [f"model={name}", *DIGITS.split(), *MODELS[name].split(), f"run_dir={run_folder}"]
    assert train(words)["images_seen"] == 16
    sample = gan_lightning.load(run_folder).sample(3)
    assert sample.shape == (3, 1, 16, 32) and sample.isfinite().all()


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Return a folder of 16 pictures of several shapes, as users have them."""
    stream = np.random.default_rng(0)
    for number in range(16):
        shape = (20 + number, 50 - number, 3)
        Image.fromarray(stream.integers(256, size=shape, dtype=np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_folder_is_trained_on_scored_drawn_and_taken_up_again(photographs: Path, run_folder: Path) -> None:
    data = f"data=folder data.root={photographs} data.image_size=[16,24] data.fit=stretch data.num_workers=0"
    network = "model=dcgan model.generator.width=4 model.discriminator.backbone.width=4"
    words = f"{data} {network} metrics=[swd,ms_ssim] evaluation.num_fakes=16 {SHORT}"
    first = train([*words.split(), "callbacks=[checkpoint,sample_grid]", f"run_dir={run_folder}"])
    assert first["images_seen"] == 16 and all(np.isfinite(value) for value in first["scores"].values())
    with Image.open(run_folder / "samples.png") as picture:
        assert picture.size == (3 * (8 * 26 + 2), 3 * (8 * 18 + 2))  # 64 samples of 16x24, enlarged to 512 or more
    assert train([f"resume={run_folder}", "max_epochs=2"])["images_seen"] == 32
    checkpoint = torch.load(run_folder / "checkpoints/last.ckpt", weights_only=True)["gan_lightning"]
    assert checkpoint["networks"]["generator"]["image_size"] == checkpoint["config"]["data"]["image_size"] == [16, 24]


SENTENCES = {
    "augment=ada": "images of 16x32 are not square: set augment.groups=[geometry,color]",
    "data.image_size=[16,30]": "set data.image_size=[16,28] or [16,32], or choose another model",
    "data.image_size=[16,32,3]": "data.image_size=[16,32,3] is not possible: it is a whole number or a list of 2",
    "data.image_size=[16,0]": "data.image_size=[16,0] is out of range: it is at least 1",
    "data.image_size=0": "data.image_size=0 is out of range: it is at least 1",
    "data.image_size=wide": "data.image_size=wide is not possible: it is a whole number or a list of 2, each a whole",
    "data.fit=squeeze": "data.fit=squeeze is not possible: it is one of",
    "data=ring data.fit=pad": "data.fit is not an option of the data that is chosen",
    "model.generator.image_size=[32,16]": "makes images of shape (1, 32, 16), but data digits has (1, 16, 32)",
}


@pytest.mark.parametrize("words", SENTENCES)
def test_what_cannot_be_is_said_before_training(words: str, run_folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        train([*DIGITS.split(), *words.split(), f"run_dir={run_folder}"])
    assert SENTENCES[words] in str(caught.value)
