"""Images that are not square: every network makes and judges them, and squares as pairs are the same as before."""

from __future__ import annotations

import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.networks import (
    BigGANDeepBackbone,
    BigGANDeepGenerator,
    BigGANGenerator,
    DCGANBackbone,
    DCGANGenerator,
    Discriminator,
    FastGANBackbone,
    FastGANDiscriminator,
    FastGANGenerator,
    MLPBackbone,
    MLPGenerator,
    ProGANBackbone,
    ProGANGenerator,
    R3GANBackbone,
    R3GANGenerator,
    ResNetBackbone,
    ResNetGenerator,
    StyleGAN2Backbone,
    StyleGAN2Generator,
    StyleGANGenerator,
)
from gan_lightning.sizes import height_width

STYLES = {"style_dim": 8, "mapping_layers": 1, "channel_max": 8}
ZOO = {  # name -> generator, discriminator, each built for a size
    "mlp": (lambda size: MLPGenerator(size, 3, hidden=(8,)), lambda size: MLPBackbone(size, 3, hidden=(8,))),
    "dcgan": (lambda size: DCGANGenerator(size, 3, width=4), lambda size: DCGANBackbone(size, 3, width=4)),
    "resnet": (
        lambda size: ResNetGenerator(size, 3, width=4, attention=16),
        lambda size: ResNetBackbone(size, 3, width=4, attention=16),
    ),
    "wgan_gp": (
        lambda size: ResNetGenerator(size, 3, width=4, layout="constant"),
        lambda size: ResNetBackbone(size, 3, width=4, layout="constant", pooling="mean"),
    ),
    "biggan": (
        lambda size: BigGANGenerator(size, 3, width=2, attention=16),
        lambda size: ResNetBackbone(size, 3, width=2, attention=16, wide=True, initialisation="orthogonal"),
    ),
    "biggan_deep": (
        lambda size: BigGANDeepGenerator(size, 3, width=4, attention=16),
        lambda size: BigGANDeepBackbone(size, 3, width=4, attention=16),
    ),
    "progan": (
        lambda size: ProGANGenerator(size, 3, channel_max=8),
        lambda size: ProGANBackbone(size, 3, channel_max=8),
    ),
    "stylegan": (
        lambda size: StyleGANGenerator(size, 3, **STYLES),
        lambda size: ProGANBackbone(size, 3, channel_max=8, blur=True),
    ),
    "stylegan2": (
        lambda size: StyleGAN2Generator(size, 3, **STYLES),
        lambda size: StyleGAN2Backbone(size, 3, channel_max=8),
    ),
    "r3gan": (lambda size: R3GANGenerator(size, 3, width=16), lambda size: R3GANBackbone(size, 3, width=16)),
    "fastgan": (lambda size: FastGANGenerator(size, 3, width=4), lambda size: FastGANBackbone(size, 3, width=4)),
}

GROWING = ("progan", "stylegan")


def judge_of(name, size, **options):
    backbone = ZOO[name][1](size)
    return FastGANDiscriminator(backbone, **options) if name == "fastgan" else Discriminator(backbone, **options)


def unused(network):
    """Return the parameters that the last backward did not reach."""
    return [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]


@pytest.mark.parametrize("size", [(16, 32), (32, 16), (16, 24), (48, 16)], ids=str)
@pytest.mark.parametrize("name", ZOO)
def test_every_network_makes_and_judges_pictures_that_are_not_square(name, size):
    torch.manual_seed(0)
    generator, judge = ZOO[name][0](size), judge_of(name, size)
    images = generator(torch.randn(4, generator.latent_dim))
    assert images.shape == (4, 3, *size) and generator.image_shape == images.shape[1:]
    output = judge(images)
    assert len(output.logits) == 4 and output.logits.isfinite().all()
    loss = output.logits.sum()
    if name == "fastgan":
        pairs = judge.reconstruct(output, torch.tensor([0, 1, 2, 3]))
        assert all(decoded.shape == true.shape for decoded, true in pairs)
        loss = loss + sum((decoded - true).square().sum() for decoded, true in pairs)
    loss.backward()
    idle = unused(generator) + unused(judge)
    assert [key for key in idle if name not in GROWING or "_rgb." not in key] == []  # those of earlier stages


@pytest.mark.parametrize("name", ZOO)
def test_every_pixel_of_a_picture_counts_and_can_change(name):
    """The judge's answer depends on each row and column, and the generator fills them all from its latents."""
    torch.manual_seed(0)
    generator, judge = ZOO[name][0]((16, 32)), judge_of(name, (16, 32)).eval()
    images = torch.randn(2, 3, 16, 32, requires_grad=True)
    judge(images).logits.sum().backward()
    assert (images.grad.abs().sum((0, 1)) > 0).all()
    made = generator.eval()(torch.randn(8, generator.latent_dim)).detach()
    assert (made.std(0).amax(0) > 0).all()


@pytest.mark.parametrize("name", ZOO)
def test_a_pair_of_equal_sides_is_the_square(name):
    for build in ZOO[name]:
        told = []
        for size in (16, [16, 16], (16, 16)):
            torch.manual_seed(0)
            told.append(build(size).state_dict())
        assert all(state.keys() == told[0].keys() for state in told)
        assert all(torch.equal(state[key], told[0][key]) for state in told for key in state)


@pytest.mark.parametrize("stage", range(3))
@pytest.mark.parametrize("name", GROWING)
def test_growing_networks_double_both_sides(name, stage):
    torch.manual_seed(0)
    generator, judge = ZOO[name][0]((16, 24)).eval(), judge_of(name, (16, 24)).eval()
    for network in (getattr(generator, "synthesis", generator), judge.backbone):
        network.grow(stage, 0.5)
    images = generator(torch.randn(2, generator.latent_dim))
    block = 4 >> stage
    small = images[:, :, ::block, ::block]
    assert images.shape == (2, 3, 16, 24) and small.shape[2:] == (4 << stage, 6 << stage)
    assert torch.equal(images, small.repeat_interleave(block, 2).repeat_interleave(block, 3))
    assert judge(images).logits.isfinite().all()


def test_packs_and_patches_are_judged_too():
    images = torch.randn(4, 3, 16, 32)
    assert judge_of("fastgan", (16, 32)).eval()(images).logits.shape == (4, 1, 5)  # windows of 4x4 in a map of 4x8
    for name in ("dcgan", "stylegan2", "fastgan"):
        assert len(judge_of(name, (16, 32), pack=2).eval()(images).logits) == 2
    assert judge_of("dcgan", (16, 32), minibatch_features=5)(images).features.shape == (4, 8 * 4 * 8 + 5)


@pytest.mark.parametrize("name", ["resnet", "biggan", "biggan_deep"])
def test_three_times_a_power_of_two_begins_with_six_pixels(name):
    with torch.device("meta"):
        generator, judge = ZOO[name][0]((64, 48)), judge_of(name, (64, 48))
        assert generator.first_shape[1:] == (8, 6)
        assert judge(generator(torch.empty(2, generator.latent_dim))).logits.shape == (2,)


@pytest.mark.parametrize(
    ("name", "size", "said"),
    [
        ("dcgan", (32, 60), "a multiple of 8 beside 32, not [32,60]: set data.image_size=[32,56] or [32,64], or"),
        ("dcgan", [60, 32], "set data.image_size=[56,32] or [64,32], or choose another model"),
        (
            "stylegan2",
            (30, 61),
            "8 to 1024 pixels in powers of two, and whose longer side is a multiple of 8 beside 32",
        ),
        ("r3gan", (4, 16), "set data.image_size=[8,16], or"),
        ("fastgan", (8, 64), "set data.image_size=[16,64], or"),
        ("resnet", (48, 56), "16, 32, 48, 64, 96, 128, 192 or 256 pixels, and whose longer side is a multiple of 16"),
        ("biggan", (16, 18), "set data.image_size=[16,16] or [16,20], or"),
        ("progan", (20, 20), "progan makes images of 8 to 1024 pixels in powers of two, not [20,20]: set"),
        ("progan", (0, 16), "not [0,16]: set data.image_size=[8,16], or"),
        ("mlp", (8, 8, 3), "data.image_size=[8,8,3] is not possible; it is a whole number"),
        ("mlp", "8x8", "data.image_size=8x8 is not possible"),
        ("dcgan", [8, 16.5], "data.image_size=[8,16.5] is not possible"),
    ],
)
def test_other_shapes_are_a_sentence_with_the_nearest_sizes(name, size, said):
    for build in ZOO[name]:
        with pytest.raises(UserError) as caught:
            build(size)
        assert said in str(caught.value)


def test_the_nearest_sizes_are_possible():
    for size in ((32, 60), (30, 61), (100, 300), (17, 16), (1, 2000)):
        with pytest.raises(UserError) as caught:
            DCGANGenerator(size, 1, width=1)
        advised = str(caught.value).split("data.image_size=")[1].split(", or")[0].split(" or ")
        for words in advised:
            sides = [int(side) for side in words.strip("[]").split(",")]
            with torch.device("meta"):
                assert DCGANGenerator(sides, 1, width=1).image_shape == (1, *sides)


def test_height_and_width_are_whole_numbers():
    assert height_width(5) == (5, 5) and height_width([2, 3]) == (2, 3)
    for wrong in (None, True, [True, 2], "ab", [1], 2.0):
        with pytest.raises(UserError, match="is not possible; it is a whole number of at least 0, or two of them"):
            height_width(wrong)
