"""What the parts of a game may read of it. Losses, regularisers, heads and augmentations know this page alone.

A part works in a duel: a generator and the discriminator that judges it. It has a role there, "generator" or
"discriminator", and never asks which game it is in or what a player is called. The engine's own classes satisfy these
protocols, so that no part imports training code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from gan_lightning.networks.base import DiscriminatorOutput
from gan_lightning.streams import Draw

Role = Literal["generator", "discriminator"]
ROLES: tuple[Role, Role] = ("generator", "discriminator")


class DuelStep(Draw, Protocol):
    """One iteration as the parts of one duel see it: images, and what the networks say of them, made on demand.

    Whatever several parts read is made once, and made anew when a network that it came from has moved.

    generator, discriminator: the duel's networks; run them through `generate`, `judge`, `discriminate` and `run` only.
    iteration: counted from 0; epoch: passes over the data that are done; progress: share of the run (0 to 1).
    batch: its fields by name, images in [-1, 1].
    """

    generator: Any
    discriminator: Any

    iteration: int
    epoch: int
    progress: float
    batch: dict[str, Tensor]

    @property
    def batch_images(self) -> Tensor:
        """The duel's real images of the batch, as they are."""
        ...

    @property
    def real(self) -> Tensor:
        """Real images `(N, C, H, W)` in [-1, 1], or points `(N, 2)`."""
        ...

    @property
    def labels(self) -> Tensor | None:
        """Classes `(N,)` of the real images, None where the duel is unconditional."""
        ...

    @property
    def latents(self) -> Tensor:
        """Latents `(N, latent_dim)` of the fakes, InfoGAN's codes among them."""
        ...

    @property
    def fake(self) -> Tensor:
        """Generated images; where the generator moves with their graph, else cut off from it."""
        ...

    @property
    def fake_labels(self) -> Tensor | None:
        """Classes `(N,)` that the fakes are asked to be, None where the duel is unconditional."""
        ...

    @property
    def generator_inputs(self) -> dict[str, Tensor]:
        """Further inputs `(N, ...)` by name that the generator takes in training, such as a second latent to mix."""
        ...

    @property
    def real_output(self) -> DiscriminatorOutput:
        """What the discriminator says of the real images."""
        ...

    @property
    def fake_output(self) -> DiscriminatorOutput:
        """What the discriminator says of the fakes; its extra "latents" are what they were made of."""
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
        """Return the images, "real" or "fake", as the discriminator is shown them: augmented."""
        ...

    def differentiable(self, which: str) -> tuple[Tensor, Tensor]:
        """Return (images, logits) of "real" or "fake" with a graph from logits to images, fit for a double backward."""
        ...

    def judge(self, images: Tensor, which: str) -> DiscriminatorOutput:
        """Run the discriminator on images in the place of "real" or "fake": with the same labels and augmentation."""
        ...

    def discriminate(self, images: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Run the discriminator anew, in float32 and not compiled: the way for input gradients."""
        ...

    def generate(self, latents: Tensor, labels: Tensor | None, inputs: dict[str, Tensor] | None = None) -> Tensor:
        """Run the generator anew on `latents` `(N, latent_dim)` for classes `labels`, where it has classes.

        inputs: further ones, None for those of the fakes: then images differ from the fakes by their latents alone.
        """
        ...

    def run(self, network: Any, *inputs: Any, exact: bool = False, method: str = "forward", **options: Any) -> Any:
        """Run any network, or a method of it. exact: fit for a double backward, in float32 and not compiled."""
        ...

    def fresh_latents(self, purpose: str) -> Tensor:
        """Return latents `(N, latent_dim)` of a stream of their own, drawn as `latents` are."""
        ...

    def fresh_inputs(self, purpose: str) -> dict[str, Tensor]:
        """Return further inputs of the generator of a stream of their own, drawn as `generator_inputs` are."""
        ...

    def draw(self, purpose: str, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Return this process's rows of `draw(global batch size, stream)`."""
        ...

    def numbers(self, prefix: str) -> Draw:
        """Return a source of random numbers for purposes whose names begin with `prefix`."""
        ...

    def average(self, value: Tensor) -> Tensor:
        """Return the mean of `value` over all processes, cut off from its graph: for running statistics."""
        ...


class Duel(Protocol):
    """Who plays in a duel and by which rules, as its parts may ask when they check that they can work in it.

    image, condition: the batch's fields of real images, and of what the discriminator gets beside them.
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
    def head(self) -> Any:
        """The discriminator's head, None where it has none that is known."""
        ...

    def named(self, name: str) -> str:
        """Return `name` as it is among the game's other duels."""
        ...
