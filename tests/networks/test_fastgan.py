"""FastGAN: sizes, skip-layer excitation, 5x5 logits, and what the decoders reconstruct."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

import gan_lightning
from gan_lightning import GAN
from gan_lightning.cli.train import train
from gan_lightning.data import Digits
from gan_lightning.errors import UserError
from gan_lightning.networks import (
    DCGANBackbone,
    DCGANGenerator,
    Discriminator,
    FastGANBackbone,
    FastGANDiscriminator,
    FastGANGenerator,
    ProjectionHead,
)
from gan_lightning.networks.discriminator import packed
from gan_lightning.networks.fastgan import PatchHead, SkipLayerExcitation, quadrants
from gan_lightning.regularizers import Reconstruction
from tests.conftest import fit
from tests.duel_step import duel_step


def critic(size=32, channels=1, **options):
    torch.manual_seed(0)
    return FastGANDiscriminator(FastGANBackbone(size, channels, width=4, **options))


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_promised_size(size, channels):
    with torch.device("meta"):
        network = FastGANGenerator(size, channels, width=8)
        images = network(torch.empty(2, 256))
        judge = FastGANDiscriminator(FastGANBackbone(size, channels, width=8))
        output = judge(images)
        pairs = judge.reconstruct(output, torch.zeros(2, dtype=torch.long))
    assert images.shape == (2, channels, size, size) and network.image_shape == images.shape[1:]
    assert output.logits.shape == ((2, 1, 1) if size == 16 else (2, 5, 5))
    for (made, true), side in zip(pairs, (min(size, 128), min(size // 2, 128)), strict=True):
        assert made.shape == true.shape == (2, channels, side, side)


def test_other_sizes_are_a_sentence():
    with pytest.raises(UserError, match="fastgan makes images of 16 to 1024 pixels in powers of two, not 8"):
        FastGANGenerator(8, 3)


def test_the_papers_skips_and_narrow_top():
    with torch.device("meta"):
        network = FastGANGenerator(1024, 3)
    assert network.skips == {64: 4, 128: 8, 256: 16, 512: 32, 1024: 64}
    assert [block[1].out_channels // 2 for block in network.blocks] == [512, 256, 128, 128, 64, 32, 3, 3]


def test_the_gate_weighs_channels_and_sees_the_small_map():
    torch.manual_seed(0)
    skip = SkipLayerExcitation(3, 5)
    low, high = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 16, 16)
    ratio = skip(low, high) / high
    assert ((ratio > 0) & (ratio < 1)).all()
    torch.testing.assert_close(ratio, ratio.mean((2, 3), keepdim=True).expand_as(ratio), rtol=1e-4, atol=1e-5)
    assert not torch.equal(skip(low + 1, high), skip(low, high))
    for parameter in skip.gate[3].parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(skip(low, high), high / 2)  # sigmoid(0)


def test_a_logit_sees_its_window_alone():
    head = PatchHead(3 * 64, side=8)
    features = torch.randn(1, 3 * 64, requires_grad=True)
    logits = head(features).logits
    (gradient,) = torch.autograd.grad(logits[0, 1, 2], features)
    seen = gradient.reshape(3, 8, 8).abs().sum(0) > 0
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[1:5, 2:6] = True
    assert logits.shape == (1, 5, 5) and torch.equal(seen, expected)


def test_a_head_with_classes_takes_the_place_of_the_patches():
    judge = FastGANDiscriminator(FastGANBackbone(32, 1, width=4), partial(ProjectionHead, num_classes=3))
    images, ones = torch.randn(2, 1, 32, 32), torch.ones(2, dtype=torch.long)
    nn.init.normal_(judge.head.embedding.weight)
    assert judge(images, ones).logits.shape == (2,) and judge.needs_labels
    assert not torch.equal(judge(images, ones).logits, judge(images, 0 * ones).logits)


def test_classes_change_the_image():
    network, z = FastGANGenerator(16, 1, num_classes=3, width=4).eval(), torch.randn(2, 256)
    zeros, ones = torch.zeros(2, dtype=torch.long), torch.ones(2, dtype=torch.long)
    assert not torch.equal(network(z, zeros), network(z, ones))


def test_every_convolution_is_spectrally_normalised():
    for network in (FastGANGenerator(32, 1, width=4), critic()):
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        assert layers and all(parametrize.is_parametrized(layer, "weight") for layer in layers)


def test_quadrants_are_numbered_row_by_row():
    image = torch.arange(16.0).reshape(1, 1, 4, 4).expand(4, -1, -1, -1)
    parts = quadrants(image, torch.arange(4))[:, 0]
    assert torch.equal(parts[0], torch.tensor([[0.0, 1], [4, 5]])) and torch.equal(
        parts[1], torch.tensor([[2.0, 3], [6, 7]])
    )
    assert torch.equal(parts[2], torch.tensor([[8.0, 9], [12, 13]]))
    assert torch.equal(parts[3], torch.tensor([[10.0, 11], [14, 15]]))


def reconstruction_step(judge, images):
    step = duel_step(FastGANGenerator(32, 1, width=4), judge, {"image": images}, "discriminator")
    return step


def test_reconstruction_is_the_mean_distance_of_whole_and_part():
    judge = critic()
    for decoder in (judge.whole_decoder, judge.part_decoder):
        decoder[-2].parametrizations.weight.original.data.zero_()  # decodes to tanh(0.25)
        nn.init.constant_(decoder[-2].bias, 0.25)
    penalty = Reconstruction(3.0)(reconstruction_step(judge, torch.full((4, 1, 32, 32), 0.5)))
    assert penalty.item() == pytest.approx(3 * 2 * (0.5 - torch.tanh(torch.tensor(0.25)).item()), rel=1e-5)


def test_reconstruction_moves_decoders_and_trunk_but_neither_head_nor_generator():
    judge = critic()
    step = reconstruction_step(judge, torch.randn(4, 1, 32, 32))
    Reconstruction()(step).backward()
    moved = {name for name, p in judge.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert not any(name.startswith(("head", "backbone.last")) for name in moved)
    for part in ("whole_decoder", "part_decoder", "backbone.trunk", "backbone.halve"):
        assert any(name.startswith(part) for name in moved), part
    assert all(p.grad is None for p in step.generator.parameters())


def test_reconstruction_without_decoders_is_a_sentence():
    module = GAN(
        DCGANGenerator(8, 1, width=4),
        Discriminator(DCGANBackbone(8, 1, width=4)),
        regularizers={"reconstruction": Reconstruction()},
    )
    with pytest.raises(UserError, match="regularizer=reconstruction needs a discriminator with decoders"):
        fit(module, Digits(image_size=8, batch_size=8))


def test_the_discriminator_learns_to_reconstruct():
    judge = critic()
    module = GAN(
        FastGANGenerator(32, 1, width=4), judge, regularizers={"reconstruction": Reconstruction()}, log_every=5
    )
    rows = fit(module, Digits(image_size=32, batch_size=16), batches=30).loggers[0].rows
    assert rows[-1]["loss/reconstruction"] < 0.8 * rows[0]["loss/reconstruction"]


def test_packs_are_judged_and_decoded_together():
    torch.manual_seed(0)
    judge = FastGANDiscriminator(FastGANBackbone(32, 3, width=4, norm="none"), pack=2).eval()
    images = torch.randn(4, 3, 32, 32)
    output = judge(images)
    changed = images.clone()
    changed[3] = 0
    others = judge(changed).logits
    assert output.logits.shape == (2, 5, 5)
    torch.testing.assert_close(others[0], output.logits[0], atol=1e-6, rtol=1e-3)
    assert (others[1] - output.logits[1]).abs().max() > 1e-4
    (whole, true), (part, true_part) = judge.reconstruct(output, torch.tensor([0, 3, 1, 1]))
    assert torch.equal(true, packed(images, 2)) and whole.shape == true.shape == (2, 6, 32, 32)
    assert torch.equal(true_part[1], true[1, :, 16:, 16:]) and part.shape == true_part.shape


def test_weights_load_into_a_new_network():
    networks = [FastGANGenerator(16, 3, width=4).eval() for _ in range(2)]
    z = torch.randn(2, 256)
    assert not torch.equal(*[network(z) for network in networks])
    networks[1].load_state_dict(networks[0].state_dict())
    torch.testing.assert_close(*[network(z) for network in networks])


@pytest.mark.parametrize("words", ["conditioning=none", "conditioning=projection", "model.discriminator.pack=2"])
def test_the_recipe_trains_and_its_generator_loads(words, run_folder):
    tiny = [
        "model.generator.width=4",
        "model.discriminator.backbone.width=4",
        "data.image_size=16",
        "data.batch_size=8",
    ]
    short = ["metrics=[]", "trainer=cpu", "trainer.devices=1", "trainer.limit_train_batches=2", "max_epochs=1"]
    config = train.compose(["model=fastgan", words, *tiny, *short])
    config.run_dir = str(run_folder)
    assert train(config)["images_seen"] == 16
    assert gan_lightning.load(run_folder).sample(3).shape == (3, 1, 16, 16)
