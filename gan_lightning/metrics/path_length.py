"""Perceptual path length: how fast images change along a walk between two latents, or two styles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor
from torch.nn import functional

from gan_lightning.errors import UserError, check_range
from gan_lightning.inference.sampling import CHUNK, evaluating, latents, random_labels, rows
from gan_lightning.metrics.base import LOCAL, GeneratorMetric, Setting, Subject
from gan_lightning.metrics.distances import full_precision
from gan_lightning.metrics.lpips import LPIPS, Backbone, check_images
from gan_lightning.networks.base import Generator
from gan_lightning.networks.styles import StyleGenerator
from gan_lightning.streams import generator, key

Distance = Callable[[Tensor, Tensor], Tensor]
MOST = 256  # pixels: larger images are downsampled by averaging, as in StyleGAN's code


class _PathLength(GeneratorMetric):
    """E d(G(p(t)), G(p(t + epsilon))) / epsilon^2 (Karras et al. 2018, arXiv 1812.04948), trimmed by 1% at both ends.

    In z, p is the great circle between two latents, with linearly interpolated lengths. In w, p is the straight line
    between two styles; only generators with a mapping network have w. t is uniform on [0, 1] ("full"), or 0 ("end").
    There are as many paths as samples. Lower means smoother.
    """

    protocol: ClassVar[str] = "count"

    def __init__(self, setting: Setting, space: Literal["z", "w"], epsilon: float, sampling: str) -> None:
        super().__init__(**LOCAL)
        if space not in ("z", "w"):
            raise UserError(f"metrics: path lengths are measured in space=z or space=w, not {space}.")
        self.names = (f"ppl_{space}",)  # type: ignore[misc]
        (name,) = self.names
        if sampling not in ("full", "end"):
            raise UserError(f"metrics.{name}.sampling={sampling} is not known: choose full or end.")
        check_range(f"metrics.{name}", 0, 1, above=True, epsilon=epsilon)
        if not setting.has_generator:
            raise UserError(
                f"metrics=[{name}] walks through the latents of a generator, and there are only images: leave it out."
            )
        if space == "w" and not setting.has_styles:
            raise UserError(
                f"metrics=[{name}] needs a generator that maps latents to styles, as StyleGAN's: use ppl_z."
            )
        check_images(setting, name)
        self.space, self.epsilon, self.sampling = space, epsilon, sampling
        self.add_state("length", torch.tensor(torch.nan, dtype=torch.float64), dist_reduce_fx=None)

    @abstractmethod
    def distance(self, subject: Subject) -> Distance:
        """Return a function: two batches of float images `(N, C, H, W)` in [-1, 1] -> squared distances `(N,)`."""

    def update(self, subject: Subject) -> None:
        """Measure the generator of `subject`."""
        network = cast(Generator, subject.generator)
        full = self.sampling == "full"
        found = path_lengths(
            network, self.distance(subject), subject.num_fakes, subject.seed, self.space, self.epsilon, full
        )
        self.length = trimmed_mean(found)

    def compute(self) -> Tensor:
        """Return the mean squared length of the paths."""
        return self.length


class PerceptualPathLength(_PathLength):
    """Path length with LPIPS as the distance, as published. net: backbone; see LPIPS.

    Images of more than 256 pixels are downsampled to 256 by averaging.
    """

    def __init__(
        self,
        setting: Setting,
        space: Literal["z", "w"] = "z",
        net: Backbone = "vgg",
        epsilon: float = 1e-4,
        sampling: Literal["full", "end"] = "full",
    ) -> None:
        super().__init__(setting, space, epsilon, sampling)
        self.lpips = LPIPS(net, self.names[0])

    def distance(self, subject: Subject) -> Distance:
        """Return LPIPS."""
        network = self.lpips.to(subject.device)
        return lambda first, second: network(_reduced(first).float(), _reduced(second).float())


class FeaturePathLength(_PathLength):
    """Path length with the squared Euclidean distance of features; for data unlike photographs, without a download.

    It needs extractor=classifier: the other extractors round images to 8 bits, which hides small steps.
    """

    marked: ClassVar[bool] = True

    def __init__(
        self,
        setting: Setting,
        space: Literal["z", "w"] = "z",
        epsilon: float = 1e-4,
        sampling: Literal["full", "end"] = "full",
    ) -> None:
        super().__init__(setting, space, epsilon, sampling)
        if setting.extractor != "classifier":
            raise UserError(
                f"Path lengths by features need extractor=classifier, and extractor={setting.extractor or 'null'} "
                f"rounds images to 8 bits, which hides small steps: choose it, or metrics=[{self.names[0]}]."
            )

    def distance(self, subject: Subject) -> Distance:
        """Return the squared distance of features."""
        embed = subject.extractor.embed  # type: ignore[union-attr]
        return lambda first, second: squared(embed(first.float()), embed(second.float()))


def squared(first: Tensor, second: Tensor) -> Tensor:
    """Return squared Euclidean distances `(N,)` of the rows of two tensors `(N, ...)`."""
    return (first - second).flatten(1).square().sum(dim=1)


@torch.no_grad()
def path_lengths(
    network: Generator,
    distance: Distance,
    count: int,
    seed: int,
    space: str,
    epsilon: float = 1e-4,
    full: bool = True,
    batch_size: int = 64,
) -> Tensor:
    """Return the squared lengths `(count,)` of the steps, float64; step i depends only on `seed` and i."""
    found = []
    with evaluating(network), full_precision(), _exact_convolutions():
        for start in range(0, count, batch_size):
            first, second = _step(network, start, min(start + batch_size, count), seed, space, epsilon, full)
            found.append(distance(first, second).double().cpu() / epsilon**2)
    return torch.cat(found)


def trimmed_mean(values: Tensor, share: float = 0.01) -> Tensor:
    """Return the mean of values `(N,)` between the quantiles `share` and 1 - `share`, both included."""
    low = values.quantile(share, interpolation="lower")
    high = values.quantile(1 - share, interpolation="higher")
    return values[(values >= low) & (values <= high)].mean()


def slerp(first: Tensor, second: Tensor, t: Tensor) -> Tensor:
    """Return the points at `t` `(N, 1)` on great circles between `(N, D)` and `(N, D)`, with linear lengths."""
    lengths = torch.lerp(first.norm(dim=1, keepdim=True), second.norm(dim=1, keepdim=True), t)
    first, second = functional.normalize(first), functional.normalize(second)
    cosine = (first * second).sum(dim=1, keepdim=True).clamp(-1, 1)
    across = functional.normalize(second - cosine * first)
    angle = t * cosine.acos()
    return lengths * (first * angle.cos() + across * angle.sin())


def _step(
    network: Generator, start: int, stop: int, seed: int, space: str, epsilon: float, full: bool
) -> tuple[Tensor, Tensor]:
    """Return images `(n, C, H, W)` at both ends of the steps [start, stop)."""
    weight, classes = next(network.parameters()), getattr(network, "num_classes", 0)
    first, second = (latents(network, start, stop, key(seed, "path", end)).to(weight) for end in ("first", "second"))
    t = rows(start, stop, lambda block: torch.rand(CHUNK, 1, generator=generator(seed, "path", block))).to(weight)
    t = t if full else torch.zeros_like(t)
    labels = [random_labels(classes, start, stop, seed).to(weight.device)] if classes else []
    if space == "z":
        here, there = (_between(network, first, second, at) for at in (t, t + epsilon))
        return network(here, *labels), network(there, *labels)
    assert isinstance(network, StyleGenerator)
    first, second = (network.mapping(z, *labels) for z in (first, second))
    here, there = (torch.lerp(first, second, at)[:, None].expand(-1, network.num_styles, -1) for at in (t, t + epsilon))
    return network.synthesis(here), network.synthesis(there)


def _between(network: Generator, first: Tensor, second: Tensor, t: Tensor) -> Tensor:
    """Return interpolated latents; InfoGAN codes stay those of the first, as categories cannot be interpolated."""
    codes = getattr(network, "codes", None)
    free = first.shape[1] - (codes.size if codes is not None else 0)
    return torch.cat([slerp(first[:, :free], second[:, :free], t), first[:, free:]], 1)


def _reduced(images: Tensor) -> Tensor:
    factor = min(images.shape[-2:]) // MOST
    return functional.avg_pool2d(images, factor) if factor > 1 else images


@contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Switch TF32 off: its rounding hides steps of 1e-4."""
    backend = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before, backend.fp32_precision = backend.fp32_precision, "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = before
