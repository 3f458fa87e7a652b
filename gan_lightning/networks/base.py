"""What all networks share: they remember how they were built, and discriminators answer in one form."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks.codes import LatentCodes


@dataclass(frozen=True)
class BatchSize:
    """How large the batches are that go through a network in training.

    total: samples of a batch, over all processes; parts: equal ones in which it goes through, processes times pieces.
    pack: samples that a discriminator judges together.
    """

    total: int
    parts: int = 1
    pack: int = 1

    @property
    def rows(self) -> int:
        """How many samples, or packs of them, go through at a time."""
        return self.total // self.parts // self.pack


class Network(nn.Module):
    """A module that keeps its constructor's arguments, so that a checkpoint can say how to build it again.

    `network.arguments` is `{"_target_": "package.Class", **arguments}`.
    """

    arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the arguments, so that no subclass need do it."""
        self = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(self, *args, **kwargs).arguments
        given = dict(list(bound.items())[1:])  # without self
        object.__setattr__(self, "arguments", {"_target_": f"{cls.__module__}.{cls.__qualname__}", **given})
        return self


class Generator(Network):
    """Noise to image: `forward(z, labels=None)`, z `(N, latent_dim)`, labels `(N,)` -> `(N, *image_shape)` in [-1, 1].

    num_classes is 0 for an unconditional generator.
    conditional_batch_norm: classes set the batch norm by themselves, without an argument `conditioning` that says so.
    codes: what the last latents stand for, where a head reads them back (InfoGAN); the network need not know.
    """

    latent_dim: int
    num_classes: int = 0
    conditional_batch_norm: ClassVar[bool] = False
    image_shape: tuple[int, ...]
    latent_distribution: str = "normal"
    codes: LatentCodes | None = None

    def training_inputs(self, count: int, stream: torch.Generator) -> dict[str, Tensor]:
        """Draw further keyword inputs of `forward` for `count` samples in training, each `(count, ...)`; none here."""
        return {}


class Backbone(Network):
    """The trunk of a discriminator: `forward(images)`, `(N, C + label_maps, H, W)` -> features `(N, feature_dim)`.

    head_bias: whether the head's linear layer has a bias.
    label_maps: how many one-hot label maps the first layer takes beside the image.
    takes_condition: `forward(images, condition)` looks at what the images should go with.
    """

    takes_condition: ClassVar[bool] = False
    feature_dim: int
    head_bias: bool = True
    label_maps: int = 0

    def initialise_head(self, head: nn.Module) -> None:
        """Initialise the head as the backbone's paper does; nothing by default."""

    def stages(self) -> list[list[nn.Module]]:
        """Return the layers from the image on, as they can be frozen: each stage begins with one that has weights.

        A stage is a convolution, a linear layer or a block of them, with the norms and activations that follow it.
        """
        stages: list[list[nn.Module]] = []
        for layer in in_sequence(self):
            if not stages or any(parameter.ndim > 1 for parameter in layer.parameters()):
                stages.append([])
            stages[-1].append(layer)
        return stages

    def packed(self, pack: int) -> Backbone:
        """Return a new backbone like this one, for `pack` images on the channel axis (Lin et al. 2017)."""
        options: dict[str, Any] = {name: value for name, value in self.arguments.items() if name != "_target_"}
        bound = inspect.signature(type(self)).bind(**options)
        bound.apply_defaults()
        if "channels" not in bound.arguments:
            raise UserError(f"{type(self).__name__} has no argument channels, so it cannot judge packs: set pack=1.")
        bound.arguments["channels"] *= pack
        return type(self)(*bound.args, **bound.kwargs)


def in_sequence(network: nn.Module) -> list[nn.Module]:
    """Return the parts of `network` in their order, those of a sequence one by one."""
    several = (nn.Sequential, nn.ModuleList)
    parts = [child.children() if isinstance(child, several) else [child] for child in network.children()]
    return [layer for part in parts for layer in part]


@dataclass
class DiscriminatorOutput:
    """What a discriminator says of a batch.

    logits: raw scores `(N,)`, `(N, K)` or `(N, h, w)`, never through a sigmoid.
    features: `(N, F)` the input of the head, where there is one.
    extras: further tensors that a head's loss reads.
    """

    logits: Tensor
    features: Tensor | None = None
    extras: dict[str, Tensor] = field(default_factory=dict)


def as_output(answer: DiscriminatorOutput | Tensor) -> DiscriminatorOutput:
    """Accept a user's discriminator that returns just its logits."""
    if isinstance(answer, DiscriminatorOutput):
        return answer
    return DiscriminatorOutput(answer.flatten() if answer.ndim == 2 and answer.shape[1] == 1 else answer)


def halvings(image_size: int, network: str, smallest: int = 8, largest: int = 256) -> int:
    """Return how often `image_size` halves until 4; raise UserError where `network` cannot make that size."""
    size = int(image_size)
    if size < smallest or size > largest or size & (size - 1):
        raise UserError(
            f"{network} makes images of {smallest} to {largest} pixels in powers of two, not {image_size}: "
            f"set data.image_size={_nearest_power(size, smallest, largest)}, or choose another model."
        )
    return size.bit_length() - 3


def _nearest_power(size: int, smallest: int, largest: int) -> int:
    powers = [2**k for k in range(3, 11) if smallest <= 2**k <= largest]
    return min(powers, key=lambda power: abs(power - size))


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

    Mirza and Osindero 2014, arXiv 1411.1784. Raises UserError where there are no labels `(N,)`.
    """
    codes = torch.nn.functional.one_hot(required(labels), num_classes).to(values.dtype)
    maps = codes.reshape(*codes.shape, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:])
    return torch.cat([values, maps], dim=1)


def required(labels: Tensor | None) -> Tensor:
    """Return labels `(N,)`; raise UserError where there are none."""
    if labels is None:
        raise UserError("A network with classes got no labels: give them, or build it with num_classes=0.")
    return labels
