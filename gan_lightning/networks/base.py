"""Base classes of networks; they keep their constructor's arguments, and all discriminators return one type."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.sizes import Size, check_sides, halved, height_width


@dataclass(frozen=True)
class BatchSize:
    """Sizes of the batches that a network gets in training.

    total: samples of a batch, over all processes. parts: number of equal parts, processes times accumulation steps.
    pack: number of samples that a discriminator judges together.
    """

    total: int
    parts: int = 1
    pack: int = 1

    @property
    def rows(self) -> int:
        """How many samples (or packs) are in one forward pass."""
        return self.total // self.parts // self.pack


class Network(nn.Module):
    """A module that keeps its constructor's arguments, so that it can be rebuilt from a checkpoint.

    `network.arguments` is `{"_target_": "package.Class", **arguments}`.
    """

    arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments, so that subclasses need no code for it."""
        self = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(self, *args, **kwargs).arguments
        given = dict(list(bound.items())[1:])  # without self
        object.__setattr__(self, "arguments", {"_target_": f"{cls.__module__}.{cls.__qualname__}", **given})
        return self


class Generator(Network):
    """Noise to image: `forward(z, labels=None)`, z `(N, latent_dim)`, labels `(N,)` -> `(N, *image_shape)` in [-1, 1].

    num_classes is 0 for an unconditional generator.
    conditional_batch_norm: the batch norm is class-conditional even without an argument `conditioning`.
    codes: the meaning of the last latents if a head predicts them (InfoGAN); most generators do not use it.
    """

    latent_dim: int
    num_classes: int = 0
    conditional_batch_norm: ClassVar[bool] = False
    image_shape: tuple[int, ...]
    latent_distribution: str = "normal"
    codes: LatentCodes | None = None

    def training_inputs(self, count: int, stream: torch.Generator) -> dict[str, Tensor]:
        """Draw additional keyword arguments of `forward` for training, each `(count, ...)`; none by default."""
        return {}


class Backbone(Network):
    """The body of a discriminator: `forward(images)`, `(N, C + label_maps, H, W)` -> features `(N, feature_dim)`.

    head_bias: whether the head's linear layer has a bias.
    label_maps: number of one-hot label maps that are concatenated to the image.
    takes_condition: whether `forward(images, condition)` uses a condition, such as a source image.
    judges_by: name of the extractor whose frozen network it contains, "" for none.
    """

    takes_condition: ClassVar[bool] = False
    judges_by: ClassVar[str] = ""
    feature_dim: int
    head_bias: bool = True
    label_maps: int = 0

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise the head as the backbone's paper does; nothing by default."""

    def stages(self) -> list[list[nn.Module]]:
        """Return the stages that can be frozen, from the image on; each begins with a layer that has weights.

        A stage is a convolution, a linear layer or a block, with the norms and activations that follow.
        """
        stages: list[list[nn.Module]] = []
        for layer in in_sequence(self):
            if not stages or any(parameter.ndim > 1 for parameter in layer.parameters()):
                stages.append([])
            stages[-1].append(layer)
        return stages

    def packed(self, pack: int) -> Backbone:
        """Return a new backbone with the same arguments for `pack` images on the channel axis (Lin et al. 2017)."""
        options: dict[str, Any] = {name: value for name, value in self.arguments.items() if name != "_target_"}
        bound = inspect.signature(type(self)).bind(**options)
        bound.apply_defaults()
        if "channels" not in bound.arguments:
            raise UserError(f"{type(self).__name__} has no argument channels, so it cannot judge packs: set pack=1.")
        bound.arguments["channels"] *= pack
        return type(self)(*bound.args, **bound.kwargs)


def in_sequence(network: nn.Module) -> list[nn.Module]:
    """Return the child modules of `network` in order; nn.Sequential is split into its parts."""
    several = (nn.Sequential, nn.ModuleList)
    parts = [child.children() if isinstance(child, several) else [child] for child in network.children()]
    return [layer for part in parts for layer in part]


@dataclass
class DiscriminatorOutput:
    """The output of a discriminator for a batch.

    logits: raw scores `(N,)`, `(N, K)` or `(N, h, w)`, before any sigmoid.
    features: `(N, F)`, the input of the head if there is one.
    extras: further tensors for a head's loss.
    """

    logits: Tensor
    features: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)


def as_output(answer: DiscriminatorOutput | Tensor) -> DiscriminatorOutput:
    """Return a DiscriminatorOutput, also for a user's discriminator that returns only logits."""
    if isinstance(answer, DiscriminatorOutput):
        return answer
    return DiscriminatorOutput(answer.flatten() if answer.ndim == 2 and answer.shape[1] == 1 else answer)


def halvings(image_size: Size, network: str, smallest: int = 8, largest: int = 256) -> int:
    """Return how often an image can be halved until its shorter side has 4 pixels.

    Raises UserError if `network` does not support the size: the shorter side is a power of two, and the longer one can
    be halved as often.
    """
    powers = [2**k for k in range(3, 11) if smallest <= 2**k <= largest]
    words = f"{smallest} to {largest} pixels in powers of two"
    check_sides(image_size, network, powers, words, unit=lambda short: short // 4)
    return min(height_width(image_size)).bit_length() - 3


def map_sizes(image_size: Size, count: int) -> list[tuple[int, int]]:
    """Return height and width of `count` maps, each twice as large as the one before; the last has the image's."""
    return [halved(image_size, times) for times in reversed(range(count))]


def initialise_normal(module: nn.Module, std: float = 0.02) -> None:
    """Draw convolution and linear weights from N(0, std^2), batch-norm scales from N(1, std^2) (Radford 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, std)
        elif isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1.0, std)
        bias = getattr(layer, "bias", None)
        if isinstance(bias, nn.Parameter):
            nn.init.zeros_(bias)


def concatenate_labels(values: Tensor, labels: Tensor | None, num_classes: int) -> Tensor:
    """Append one-hot maps: `(N, C, H, W)` -> `(N, C + num_classes, H, W)`, or `(N, F)` -> `(N, F + num_classes)`.

    Mirza and Osindero 2014, arXiv 1411.1784. Raises UserError if there are no labels `(N,)`.
    """
    codes = torch.nn.functional.one_hot(required(labels), num_classes).to(values.dtype)
    maps = codes.reshape(*codes.shape, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:])
    return torch.cat([values, maps], dim=1)


def required(labels: Tensor | None) -> Tensor:
    """Return labels `(N,)`; raise UserError if they are None."""
    if labels is None:
        raise UserError("A network with classes got no labels: give them, or build it with num_classes=0.")
    return labels
