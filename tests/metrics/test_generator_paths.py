"""Path lengths of generators whose paths are known in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.metrics import path_length
from gan_lightning.metrics.base import Setting, Subject, named_values
from gan_lightning.metrics.path_length import (
    FeaturePathLength,
    PerceptualPathLength,
    path_lengths,
    slerp,
    squared,
    trimmed_mean,
)
from gan_lightning.networks.base import Generator
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.networks.stylegan2 import StyleGAN2Generator
from gan_lightning.networks.styles import StyleGenerator

SETTING = Setting(image_shape=(3, 8, 8), num_fakes=40, has_generator=True, has_styles=True, extractor="classifier")


class Unit(Generator):
    """The latent itself, on the unit sphere, as an image; classes shift it."""

    image_shape = (1, 1, 512)

    def __init__(self, dim: int = 512, num_classes: int = 0) -> None:
        super().__init__()
        self.latent_dim, self.num_classes = dim, num_classes
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        shift = 0 if labels is None else labels[:, None]
        return (shift + self.weight * nn.functional.normalize(z))[:, None, None]


class LinearSynthesis(nn.Module):
    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, styles: Tensor) -> Tensor:
        return (styles[:, 0] @ self.matrix.T)[:, None, None]


class LinearStyles(StyleGenerator):
    """w = z, and images are linear in w."""

    latent_dim, num_classes, num_styles, image_shape, mixing = 6, 0, 2, (1, 1, 9), 0.0

    def __init__(self) -> None:
        super().__init__()
        matrix = torch.randn(9, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.mapping, self.synthesis = nn.Identity(), LinearSynthesis(matrix)


def test_the_unit_sphere_has_the_mean_squared_angle() -> None:
    lengths = path_lengths(Unit(), squared, 2000, seed=0, space="z")
    assert float(lengths.mean()) == pytest.approx(math.pi**2 / 4 + 1 / 512, rel=0.01)
    assert math.pi**2 / 4 + 1 / 512 == pytest.approx(2.46935, abs=1e-5)


def test_a_linear_map_of_styles_has_the_same_length_at_every_t() -> None:
    network = LinearStyles()
    full, ends = (path_lengths(network, squared, 3000, 0, "w", full=full) for full in (True, False))
    torch.testing.assert_close(full, ends, rtol=1e-6, atol=1e-6)
    assert float(full.mean()) == pytest.approx(2 * float(network.synthesis.matrix.detach().square().sum()), rel=0.05)


def test_slerp_keeps_to_the_circle_and_its_ends() -> None:
    stream = torch.Generator().manual_seed(0)
    first, second = torch.randn(20, 7, generator=stream), torch.randn(20, 7, generator=stream)
    for t, end in ((0.0, first), (1.0, second)):
        torch.testing.assert_close(slerp(first, second, torch.full((20, 1), t)), end)
    middle = slerp(first, second, torch.full((20, 1), 0.5))
    torch.testing.assert_close(middle.norm(dim=1), (first.norm(dim=1) + second.norm(dim=1)) / 2)
    cosines = [nn.functional.cosine_similarity(middle, end) for end in (first, second)]
    torch.testing.assert_close(*cosines)
    torch.testing.assert_close(slerp(first, first, middle[:, :1]), first, atol=5e-3, rtol=0)  # and no NaN


def test_the_extremes_are_left_out() -> None:
    values = torch.arange(201, dtype=torch.float64)
    values[-1] = 1e9
    assert trimmed_mean(values) == 100


def test_batches_do_not_matter_and_the_seed_does() -> None:
    expected = path_lengths(Unit(), squared, 70, seed=0, space="z")
    assert torch.equal(path_lengths(Unit(), squared, 70, 0, "z", batch_size=9), expected)
    assert torch.equal(path_lengths(Unit(), squared, 30, 0, "z"), expected[:30])
    assert not torch.equal(path_lengths(Unit(), squared, 70, 1, "z"), expected)


def test_both_ends_of_a_step_have_the_same_class_and_codes() -> None:
    labelled = path_lengths(Unit(num_classes=5), squared, 200, seed=0, space="z")
    torch.testing.assert_close(labelled, path_lengths(Unit(), squared, 200, seed=0, space="z"), rtol=1e-3, atol=1e-3)
    network = Unit(dim=12)
    network.codes = LatentCodes((4,), 2)
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    path_lengths(network, squared, 10, seed=0, space="z")
    assert torch.equal(seen[0][:, 6:], seen[1][:, 6:]) and not torch.equal(seen[0][:, :6], seen[1][:, :6])


class Embedding:
    """An extractor that does not round."""

    @staticmethod
    def embed(images: Tensor) -> Tensor:
        return 3 * images.flatten(1)


def test_features_stand_for_pixels_and_the_score_is_marked() -> None:
    network = Unit(dim=24)
    subject = Subject(sample=None, data=None, generator=network, extractor=Embedding, num_fakes=40)
    metric = FeaturePathLength(SETTING)
    metric.update(subject)
    plain = path_lengths(network, lambda a, b: 9 * squared(a.float(), b.float()), 40, 0, "z")
    assert named_values(metric) == {"ppl_z": pytest.approx(float(trimmed_mean(plain)), rel=1e-3)}
    assert FeaturePathLength.marked and not PerceptualPathLength.marked


def test_stylegan_is_measured_in_both_spaces_by_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_length, "LPIPS", lambda net, metric: SquaredPixels())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = StyleGAN2Generator(8, 3, latent_dim=8, style_dim=8, mapping_layers=2, channel_max=8)
    subject = Subject(sample=None, data=None, generator=network.train(), num_fakes=20)
    before = torch.random.get_rng_state()
    values = {}
    for space in ("z", "w"):
        metric = PerceptualPathLength(SETTING, space=space)
        metric.update(subject)
        values |= named_values(metric)
    assert values.keys() == {"ppl_z", "ppl_w"} and all(0 < value < math.inf for value in values.values())
    assert network.training and torch.equal(before, torch.random.get_rng_state())


class SquaredPixels(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return squared(first, second)


def test_large_images_are_averaged_down_for_lpips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(path_length, "LPIPS", lambda net, metric: SquaredPixels())
    distance = PerceptualPathLength(SETTING).distance(Subject(sample=None, data=None))
    large = torch.rand(2, 3, 512, 512)
    small = large.unflatten(3, (256, 2)).unflatten(2, (256, 2)).mean((3, 5))
    torch.testing.assert_close(distance(large, -large), distance(small, -small))


def test_what_cannot_be_measured_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(path_length, "LPIPS", lambda net, metric: SquaredPixels())
    with pytest.raises(UserError, match=r"metrics=\[ppl_w\] needs a generator that maps latents to styles.*use ppl_z"):
        PerceptualPathLength(Setting(image_shape=(3, 8, 8), has_generator=True), space="w")
    with pytest.raises(UserError, match="only images: leave it out"):
        PerceptualPathLength(Setting(image_shape=(3, 8, 8)))
    with pytest.raises(UserError, match="sampling=middle is not known: choose full or end"):
        PerceptualPathLength(SETTING, sampling="middle")
    with pytest.raises(UserError, match="extractor=inception rounds images to 8 bits"):
        FeaturePathLength(Setting(image_shape=(3, 8, 8), has_generator=True, extractor="inception"))
