"""What every model's discriminator says before it has learnt anything: it is not sure, of codes or of a whole batch."""

import math
from functools import cache

import pytest
import torch

from gan_lightning.cli import build
from tests.cli.compositions import compose, exchange, options

IMAGES = [name for name in options("model") if name != "mlp2d"]
NARROW = {"channel_max": 64, "width": 32, "style_dim": 32, "latent_dim": 32, "mapping_layers": 2, "hidden": [64, 64]}


def module(model, conditioning="none", minibatch_features=None):
    """Return the model with narrow networks, for grey images of 32 pixels."""
    config = exchange(compose(f"model={model}", "data=digits", "data.image_size=32"), "conditioning", conditioning)
    config.run_dir = "unused"
    if minibatch_features is not None:
        config.model.discriminator.minibatch_features = minibatch_features
    for node in (config.model.generator, config.model.discriminator.backbone):
        node.update({name: value for name, value in NARROW.items() if node.get(name) is not None})
    torch.manual_seed(0)
    return build.module(config)


@pytest.mark.parametrize("model", IMAGES)
def test_infogans_q_begins_with_a_guess(model):
    """-log Q of 10 categories is ln 10, that of 2 continuous codes from U(-1, 1) told as 0 is 1.84 + 1/3."""
    game = module(model, "infogan")
    latents = game.generator.codes.write(torch.randn(64, 32), game.generator.codes.draw(64, torch.Generator()))
    output = game.discriminator(torch.rand(64, 1, 32, 32) * 2 - 1)
    output.extras["latents"] = latents
    terms = game.discriminator.head.loss(output, None, "discriminator", False)
    assert terms["categories"].item() == pytest.approx(math.log(10), abs=0.4)
    assert terms["continuous"].item() == pytest.approx(math.log(2 * math.pi) + 1 / 3, abs=1.2)


@cache
def discriminator(model, minibatch_features=None):
    """Return the model's discriminator, to be asked and not to be changed."""
    return module(model, minibatch_features=minibatch_features).discriminator.eval().requires_grad_(False)


def smooth(seed=0):
    """Return 64 images that differ in their large shapes."""
    shapes = torch.randn(64, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(shapes, size=32, mode="bilinear").clamp(-1, 1)


def noise():
    return torch.rand(64, 1, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


PANELS = ("fastgan", "projected_gan")  # their logits of patches do not take these features
COMPARING = [model for model in IMAGES if model not in PANELS]


@pytest.mark.parametrize("images", [smooth, noise])
@pytest.mark.parametrize("model", COMPARING)
def test_minibatch_discrimination_does_not_swamp_the_logits(model, images):
    """Those of BigGAN, whose features sum a map and have size 4, may be of that size; the others' are below 2."""
    plain = discriminator(model)(images()).logits.abs().mean().item()
    logits = discriminator(model, 100)(images()).logits
    assert logits.abs().mean().item() < plain + (4 if model == "biggan" else 2)


@pytest.mark.parametrize("images", [smooth, noise])
@pytest.mark.parametrize("model", COMPARING)
def test_minibatch_discrimination_tells_a_collapsed_batch_from_a_diverse_one(model, images):
    """In parts of the features' size, which runs from -1/2 for samples far apart to 1/2 for identical ones."""
    network = discriminator(model, 100)

    def closeness(batch):
        features = network(batch).features
        return features[:, -100:] / features[:, :-100].square().mean().sqrt()

    diverse, collapsed = closeness(images()), closeness(images()[:1].expand(64, -1, -1, -1))
    assert collapsed.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert diverse.mean().item() < 0.35 and diverse.std().item() > 0.01
    half = closeness(torch.cat([images()[:32], images()[:1].expand(32, -1, -1, -1)]))
    assert half[32:].mean() > half[:32].mean() + 0.05  # and each sample of a batch that is half collapsed
