"""R3GAN: parameter counts of the authors' code, identities at the start, its recipe's schedules and penalties."""

import math
from functools import partial

import pytest
import torch

import gan_lightning
from gan_lightning.cli import build
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, EmbeddedClassHead, LinearHead, R3GANBackbone, R3GANGenerator
from gan_lightning.networks.r3gan import GAIN, R3GANBlock, stage_widths
from gan_lightning.regularizers import R1, R2
from tests.duel_step import duel_step

IMAGENET = {"width": 1536, "group_width": 32}


def count(network):
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("size", "classes", "options", "generator", "discriminator"),
    [
        (32, 10, {}, 20_781_952, 21_280_512),
        (32, 0, {}, 20_732_160, 20_683_776),
        (64, 0, {}, 22_429_824, 22_381_440),
        (256, 0, {}, 23_057_952, 23_009_568),
        (32, 1000, IMAGENET, 82_914_304, 86_548_992),
        (64, 1000, {**IMAGENET, "full_width_size": 64}, 103_570_432, 107_205_120),
    ],
)
def test_parameter_counts_of_the_original_code(size, classes, options, generator, discriminator):
    head = partial(EmbeddedClassHead, num_classes=classes) if classes else LinearHead
    with torch.device("meta"):
        assert count(R3GANGenerator(size, 3, classes, **options)) == generator
        assert count(Discriminator(R3GANBackbone(size, 3, **options), head)) == discriminator


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_promised_size(size, channels):
    with torch.device("meta"):
        network = R3GANGenerator(size, channels, width=32)
        images = network(torch.empty(2, 64))
        output = Discriminator(R3GANBackbone(size, channels, width=32))(images)
    assert images.shape == (2, channels, size, size) and network.image_shape == images.shape[1:]
    assert output.logits.shape == (2,) and output.features.shape == (2, 32)


def test_other_sizes_are_a_sentence():
    with pytest.raises(UserError, match="r3gan makes images of 8 to 1024 pixels in powers of two, not 48"):
        R3GANGenerator(48, 3)


def test_widths_halve_beyond_the_full_width():
    assert stage_widths(256, 768, 32) == [768] * 4 + [384, 192, 96]


def test_blocks_begin_as_the_identity():
    images = torch.randn(2, 8, 5, 5)
    assert torch.equal(R3GANBlock(8, 16, 1.0)(images), images)


def test_the_first_image_does_not_depend_on_the_blocks_weights():
    torch.manual_seed(0)
    network, z = R3GANGenerator(16, 3, width=16), torch.randn(2, 64)
    before = network(z)
    for block in network.modules():
        if isinstance(block, R3GANBlock):
            for index in (0, 2):  # the last convolution is zero
                torch.nn.init.normal_(block.residual[index].weight)
                torch.nn.init.normal_(block.residual[index].bias)
    assert torch.equal(network(z), before) and before.std() > 0.1


def test_the_first_features_keep_the_images_scale():
    """All layers outside the blocks are linear with N(0, 1 / fan in): G's first pixels have a variance of about 1."""
    torch.manual_seed(0)
    images = R3GANGenerator(8, 3, width=256, full_width_size=4)(torch.randn(64, 64))
    assert 0.3 < images.std() < 1.5


def test_the_first_weights_fall_with_the_number_of_blocks():
    torch.manual_seed(0)
    network = R3GANGenerator(32, 3, width=128, blocks=4)  # 4 stages of 4 blocks
    weight = next(b for b in network.modules() if isinstance(b, R3GANBlock)).residual[0].weight
    assert weight.std().item() == pytest.approx(GAIN * 16**-0.25 / math.sqrt(128), rel=0.02)


def test_classes_change_image_and_logit():
    torch.manual_seed(0)
    network = R3GANGenerator(8, 1, num_classes=3, width=8)
    critic = Discriminator(R3GANBackbone(8, 1, width=8), partial(EmbeddedClassHead, num_classes=3))
    z, zeros, ones = torch.randn(2, 64), torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    images = network(z, zeros)
    assert not torch.equal(images, network(z, ones))
    output = critic(images, ones)
    expected = critic.head.linear(output.features) @ critic.head.embedding.weight[1]
    torch.testing.assert_close(output.logits, expected)
    with pytest.raises(UserError, match="labels"):
        network(z)


def test_r1_equals_r2_where_real_equals_fake():
    torch.manual_seed(0)
    network, critic = R3GANGenerator(8, 1, width=8), Discriminator(R3GANBackbone(8, 1, width=8))
    for parameter in critic.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)  # blocks that do something
    fake = duel_step(network, critic, {"image": torch.zeros(4, 1, 8, 8)}).fake.detach()
    step = duel_step(network, critic, {"image": fake}, "discriminator", {"real", "fake"})
    assert R1(2.0)(step).item() == pytest.approx(R2(2.0)(step).item(), rel=1e-6)
    assert R1(2.0)(step) > 1e-4


TINY = (
    "model=r3gan",
    "model.generator.width=16",
    "model.discriminator.backbone.width=16",
    "data.image_size=8",
    "data.batch_size=8",
    "metrics=[]",
    "trainer=cpu",
    "trainer.devices=1",
    "trainer.limit_train_batches=2",
    "max_epochs=1",
)


def test_the_recipe_moves_rates_betas_weights_and_the_average_as_the_paper():
    module = build.module(train.compose([*TINY, "run_dir=unused"]))
    r1, r2 = module.regularizers["r1"], module.regularizers["r2"]
    assert type(module.loss).__name__ == "Relativistic" and not module.generator.num_classes
    module.configure_optimizers()
    for progress, (lr, beta2, gamma, half_life) in {
        0.0: (2e-4, 0.9, 0.05, 0.0),
        0.5: (1.25e-4, 0.945, 0.0275, 2500.0),
        1.0: (5e-5, 0.99, 0.005, 5000.0),
    }.items():
        for player in module.players.values():
            player.set_progress(progress)
            group = player.optimizer.param_groups[0]
            assert group["lr"] == pytest.approx(lr) and group["betas"] == pytest.approx((0.0, beta2))
        for penalty in (r1, r2):
            assert penalty.weight * penalty.schedule(progress) == pytest.approx(gamma)
        assert module.options.ema_kimg * module.options.ema_schedule(progress) == pytest.approx(half_life)


@pytest.mark.parametrize("conditioning", ["none", "projection_only"])
def test_the_recipe_trains_and_its_generator_loads(conditioning, run_folder):
    config = train.compose([*TINY, f"conditioning={conditioning}"])
    config.run_dir = str(run_folder)
    assert train(config)["images_seen"] == 16
    loaded = gan_lightning.load(run_folder)
    assert loaded.sample(3).shape == (3, 1, 8, 8)
