"""Path length against a linear generator's Jacobian, its running mean as state, and the drift penalty."""

import pytest
import torch
from torch import nn

from gan_lightning import GAN, UserError
from gan_lightning.data import Digits
from gan_lightning.networks import DCGANGenerator, Discriminator, StyleGAN2Backbone, StyleGAN2Generator
from gan_lightning.networks.styles import StyleGenerator
from gan_lightning.regularizers import Drift, PathLength
from gan_lightning.regularizers.path_length import path_lengths
from tests.conftest import fit
from tests.duel_step import duel_step


class Linear(StyleGenerator):
    """Images `(N, 1, 4, 4)` linear in styles `(N, 2, 3)`, which are z and a shift of 0."""

    latent_dim, num_styles, mixing, image_shape = 3, 2, 0.0, (1, 4, 4)

    def __init__(self):
        super().__init__()
        self.mapping = Shift()
        self.synthesis = Render()


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(3))

    def forward(self, z, labels=None, track=False):
        return z + self.shift


class Render(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.jacobian = nn.Parameter(torch.randn(16, 6))

    def forward(self, styles):
        return (styles.flatten(1) @ self.jacobian.T).reshape(-1, 1, 4, 4)


def step_of(generator, size=8, iteration=0):
    batch = {"image": torch.zeros(size, 1, 4, 4)}
    return duel_step(generator, nn.Identity(), batch, "generator", iteration=iteration)


def test_lengths_of_a_linear_generator_are_those_of_its_jacobian():
    """E |J^T y|^2 = |J|_F^2 / pixels, averaged over the two layers."""
    generator = Linear()
    styles = torch.randn(20_000, 2, 3, requires_grad=True)
    noise = torch.randn(20_000, 1, 4, 4)
    lengths = path_lengths(generator.synthesis(styles), styles, noise)
    jacobian = generator.synthesis.jacobian.detach()
    products = (noise.flatten(1) / 4) @ jacobian  # J^T y of each sample
    torch.testing.assert_close(lengths, (products.square().sum(1) / 2).sqrt())
    expected = jacobian.norm().item() / 4 / 2**0.5
    assert lengths.square().mean().sqrt().item() == pytest.approx(expected, rel=0.02)


def test_the_penalty_is_the_squared_distance_to_the_running_mean():
    penalty = PathLength(weight=2.0, every=4, decay=0.25, batch_shrink=1)
    made = step_of(Linear())
    value = penalty(made)
    lengths = penalty._lengths(made).detach()
    torch.testing.assert_close(penalty.mean, 0.25 * lengths.mean())
    assert value.item() == pytest.approx(2 * (lengths - penalty.mean).square().mean().item(), rel=1e-5)
    for iteration in range(200):
        penalty(step_of(Linear(), 64, iteration))
    assert penalty.mean.item() == pytest.approx(penalty._lengths(step_of(Linear(), 4096)).mean().item(), rel=0.05)


def test_the_gradient_is_that_of_the_lengths_and_not_of_the_mean():
    generator, penalty = Linear(), PathLength(weight=1.0, decay=0.5, batch_shrink=1)
    penalty(step_of(generator)).backward()
    lengths = penalty._lengths(step_of(generator))
    by_hand = torch.autograd.grad((lengths - penalty.mean).square().mean(), generator.synthesis.jacobian)[0]
    torch.testing.assert_close(generator.synthesis.jacobian.grad, by_hand)


def test_a_part_of_the_batch_is_every_kth_sample():
    whole, half = (PathLength(batch_shrink=k)._lengths(step_of(Linear())) for k in (1, 2))
    assert torch.equal(whole[::2], half)


def gan(**options):
    torch.manual_seed(0)
    generator = StyleGAN2Generator(8, 1, latent_dim=8, style_dim=8, mapping_layers=2, channel_max=8)
    discriminator = Discriminator(StyleGAN2Backbone(8, 1, channel_max=8))
    return GAN(generator, discriminator, regularizers={"path_length": PathLength(every=2)}, **options)


def test_the_running_mean_is_in_the_state_and_training_moves_it():
    module = gan(log_every=2)
    rows = fit(module, Digits(image_size=8, batch_size=16), batches=4).loggers[0].rows
    mean = module.state_dict()["regularizer_state.path_length.mean"]
    assert mean > 0 and all(row["loss/path_length"] > 0 for row in rows if "loss/path_length" in row)
    other = gan()
    other.load_state_dict(module.state_dict())
    assert other.regularizers["path_length"].mean == mean


def test_mixing_in_training_repeats_with_the_seed_whatever_the_global_stream():
    states = []
    for noise in (1, 2):
        module = gan(seed=3)
        torch.manual_seed(noise)
        fit(module, Digits(image_size=8, batch_size=16), batches=3)
        states.append(module.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_generators_penalty_moves_no_discriminator():
    module = gan()
    made = duel_step(module.generator, module.discriminator, {"image": torch.zeros(4, 1, 8, 8)}, "generator")
    module.regularizers["path_length"](made).backward()
    assert all(p.grad is None for p in module.discriminator.parameters())
    assert module.generator.mapping.layers[0].weight.grad.abs().sum() > 0


def test_a_generator_without_styles_is_a_sentence():
    made = step_of(DCGANGenerator(8, 1, width=8))
    with pytest.raises(UserError, match="needs a generator with styles, which DCGANGenerator has not"):
        PathLength()(made)
    with pytest.raises(UserError, match="decay=0"):
        PathLength(decay=0)


def test_drift_is_the_mean_squared_score_of_real_images():
    batch = {"image": torch.tensor([[3.0], [4.0]])}
    made = duel_step(Linear(), lambda images, labels=None: images.flatten(), batch, "discriminator")
    assert Drift(weight=0.001)(made).item() == pytest.approx(0.0125)


def test_the_running_mean_is_that_of_all_processes(monkeypatch):
    lengths = PathLength(batch_shrink=1)._lengths(step_of(Linear()))
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.add_(3.0))  # the other one's mean
    penalty = PathLength(decay=0.5, batch_shrink=1)
    penalty(step_of(Linear()))
    torch.testing.assert_close(penalty.mean, 0.5 * (lengths.mean().detach() + 3) / 2)
