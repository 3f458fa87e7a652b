"""What every model's discriminator says before it has learnt anything: of no class and of no code is it sure."""

import math
from pathlib import Path

import pytest
import torch

from gan_lightning.cli import build
from gan_lightning.cli.train import train

IMAGES = sorted(path.stem for path in (Path(__file__).parents[2] / "conf/model").glob("*.yaml") if path.stem != "mlp2d")
NARROW = {"channel_max": 64, "width": 32, "style_dim": 32, "latent_dim": 32, "mapping_layers": 2, "hidden": [64, 64]}


def module(model, *overrides):
    """Return the model with narrow networks, for grey images of 32 pixels."""
    config = train.compose([f"model={model}", "data=digits", "data.image_size=32", *overrides, "run_dir=unused"])
    for node in (config.model.generator, config.model.discriminator.backbone):
        node.update({name: value for name, value in NARROW.items() if node.get(name) is not None})
    torch.manual_seed(0)
    return build.module(config)


@pytest.mark.parametrize("model", IMAGES)
def test_infogans_q_begins_with_a_guess(model):
    """-log Q of 10 categories is ln 10, that of 2 continuous codes from U(-1, 1) told as 0 is 1.84 + 1/3."""
    game = module(model, "conditioning=infogan")
    latents = game.generator.codes.write(torch.randn(64, 32), game.generator.codes.draw(64, torch.Generator()))
    output = game.discriminator(torch.rand(64, 1, 32, 32) * 2 - 1)
    output.extras["latents"] = latents
    terms = game.discriminator.head.loss(output, None, "discriminator", False)
    assert terms["categories"].item() == pytest.approx(math.log(10), abs=0.4)
    assert terms["continuous"].item() == pytest.approx(math.log(2 * math.pi) + 1 / 3, abs=1.2)
