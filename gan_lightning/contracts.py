"""Interfaces through which losses, regularisers, heads and augmentations see a game.

A part belongs to a duel: a generator and the discriminator that judges it. It has a role in the duel, "generator" or
"discriminator". It does not depend on the game or on the players' names. The engine's classes implement these
protocols, so that parts import no training code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeVar

import torch
from torch import Tensor

from gan_lightning.networks.base import DiscriminatorOutput
from gan_lightning.streams import Draw

T = TypeVar("T")
Role = Literal["generator", "discriminator"]
ROLES: tuple[Role, Role] = ("generator", "discriminator")


class DuelStep(Draw, Protocol):
    """One iteration for the parts of one duel: images and the networks' outputs, computed on demand.

    A value that several parts use is computed once. It is computed again after a network that it depends on was
    updated.

    generator, discriminator: the duel's networks; call them only through `generate`, `judge`, `discriminate` and `run`.
    iteration: counted from 0. epoch: finished passes over the data. progress: finished share of the run (0 to 1).
    batch: fields by name, images in [-1, 1].
    """

    generator: Any
    discriminator: Any

    iteration: int
    epoch: int
    progress: float
    batch: dict[str, Tensor]

    @property
    def batch_images(self) -> Tensor:
        """The duel's real images in the batch, unchanged."""
        ...

    @property
    def real(self) -> Tensor:
        """Real images `(N, C, H, W)` in [-1, 1], or points `(N, 2)`; APA may have replaced some."""
        ...

    @property
    def labels(self) -> Tensor | None:
        """Classes `(N,)` of the real images, None if the duel is unconditional."""
        ...

    @property
    def latents(self) -> Tensor:
        """Latents `(N, latent_dim)` of the fakes, including InfoGAN's codes."""
        ...

    @property
    def fake(self) -> Tensor:
        """Generated images; with their graph if the generator is updated in this turn, else detached."""
        ...

    @property
    def fake_labels(self) -> Tensor | None:
        """Requested classes `(N,)` of the fakes, None if the duel is unconditional."""
        ...

    @property
    def generator_inputs(self) -> dict[str, Tensor]:
        """Further inputs `(N, ...)` of the generator in training by name, such as a second latent to mix."""
        ...

    @property
    def real_output(self) -> DiscriminatorOutput:
        """The discriminator's output for the real images."""
        ...

    @property
    def fake_output(self) -> DiscriminatorOutput:
        """The discriminator's output for the fakes; its extra "latents" holds their latents."""
        ...

    @property
    def real_logits(self) -> Tensor:
        """Logits of the real images."""
        ...

    @property
    def fake_logits(self) -> Tensor:
        """Logits of the fakes."""
        ...

    def shown(self, which: str) -> Tensor:
        """Return the images, "real" or "fake", as input of the discriminator: augmented."""
        ...

    def differentiable(self, which: str) -> tuple[Tensor, Tensor]:
        """Return (images, logits) of "real" or "fake" with a graph from logits to images for a double backward."""
        ...

    def judge(self, images: Tensor, which: str) -> DiscriminatorOutput:
        """Run the discriminator on other images, with the labels and the augmentation of "real" or "fake"."""
        ...

    def discriminate(self, images: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Run the discriminator again, in float32 and not compiled, as input gradients need it."""
        ...

    def generate(self, latents: Tensor, labels: Tensor | None, inputs: dict[str, Tensor] | None = None) -> Tensor:
        """Run the generator again on `latents` `(N, latent_dim)` for classes `labels`, if it has classes.

        inputs: further inputs. None takes those of the fakes, so that images differ from the fakes only by their
            latents.
        """
        ...

    def run(self, network: Any, *inputs: Any, exact: bool = False, method: str = "forward", **options: Any) -> Any:
        """Run any network, or a method of it. exact: in float32 and not compiled, as a double backward needs it."""
        ...

    def value(self, name: str, make: Callable[[], T], this_turn: bool = False) -> T:
        """Return the duel's value called `name`, computed once for all parts, and again after a network of it moved.

        this_turn: it differs from turn to turn, as augmented images do.
        """
        ...

    def fresh_latents(self, purpose: str) -> Tensor:
        """Return new latents `(N, latent_dim)`, distributed like `latents`, from a separate random stream."""
        ...

    def fresh_inputs(self, purpose: str) -> dict[str, Tensor]:
        """Return new further inputs of the generator, like `generator_inputs`, from a separate random stream."""
        ...

    def draw(self, purpose: str, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Return this process's rows of `draw(global batch size, stream)`."""
        ...

    def numbers(self, prefix: str) -> Draw:
        """Return a source of random numbers for purposes whose names begin with `prefix`."""
        ...

    def average(self, value: Tensor) -> Tensor:
        """Return the mean of `value` over all processes, detached; for running statistics."""
        ...


class Duel(Protocol):
    """The networks and parts of a duel, which a part may read when it checks whether it can work there.

    image, condition: names of the batch's fields with real images, and with the discriminator's condition.
    """

    generator: Any
    discriminator: Any
    loss: Any
    generator_loss: Any
    regularizers: Any
    augment: Any
    latent_optimization: Any
    name: str
    image: str
    condition: str | None

    @property
    def makes_points(self) -> bool:
        """Whether the generator makes 2-D points instead of images."""
        ...

    @property
    def head(self) -> Any:
        """The discriminator's head, None if it has none."""
        ...

    def named(self, name: str) -> str:
        """Return `name` with the duel's name in front, which makes it unique in the game."""
        ...
