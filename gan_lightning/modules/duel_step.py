"""The values of a duel in one step: images, latents, logits, each computed on demand and once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from gan_lightning.contracts import Duel
from gan_lightning.networks.base import DiscriminatorOutput, as_output
from gan_lightning.streams import UNIFORM_BOUND, Draw, draw_latents
from gan_lightning.training.step import Step

T = TypeVar("T")


class DuelValues:
    """One step for the parts of a duel; implements `contracts.DuelStep`, which describes each member.

    Names of random numbers and values begin with the duel's name, so that duels do not share them.
    """

    def __init__(self, duel: Duel, step: Step) -> None:
        self.duel, self.step = duel, step
        self.generator, self.discriminator = duel.generator, duel.discriminator
        self.batch, self.iteration = step.batch, step.iteration
        self.epoch, self.progress = step.epoch, step.progress
        self.run, self.average = step.run, step.average

    # Images, latents and labels --------------------------------------------------------------------------------------

    @property
    def real(self) -> Tensor:
        """Real images, or APA's replacements; a leaf tensor if a penalty needs their gradient."""
        return self._leaf("real", self._real)

    @property
    def batch_images(self) -> Tensor:
        """The batch's real images, unchanged."""
        return self.batch[self.duel.image]

    @property
    def labels(self) -> Tensor | None:
        """Classes of the real images."""
        conditional = self._generator_is_conditional or bool(getattr(self.discriminator, "needs_labels", False))
        return self.batch.get("label") if conditional else None

    @property
    def condition(self) -> Tensor | None:
        """The discriminator's condition, such as a source image."""
        return None if self.duel.condition is None else self.batch[self.duel.condition]

    @property
    def drawn_latents(self) -> Tensor:
        """Latents as drawn, before latent optimisation."""
        return self.value("drawn latents", partial(self.fresh_latents, "latents"))

    @property
    def latents(self) -> Tensor:
        """Latents as input of the generator."""
        optimize = self.duel.latent_optimization is not None
        return self.value("latents", self._optimize_latents) if optimize else self.drawn_latents

    @property
    def fake_labels(self) -> Tensor | None:
        """Classes of the fakes: uniformly drawn, or those of the real images if the loss pairs real and fake."""
        if not self._generator_is_conditional or (self.duel.loss.needs_real and self.labels is not None):
            return self.labels
        return self.value("fake_labels", self._draw_labels)

    @property
    def generator_inputs(self) -> dict[str, Tensor]:
        """Further inputs of the generator."""
        return self.value("generator_inputs", partial(self.fresh_inputs, "generator inputs"))

    @property
    def fake(self) -> Tensor:
        """Generated images, computed once for this turn and a later turn of the generator.

        Optimised latents depend on the discriminator; its gradient then also flows through the fakes.
        """
        return self._leaf("fake", self._fake)

    def shown(self, which: str) -> Tensor:
        """Return the images as input of the discriminator: augmented."""
        if self.duel.augment is None:
            return self._images(which)
        return self.value(f"shown {which}", lambda: self._augmented(self._images(which), which), this_turn=True)

    def fresh_latents(self, purpose: str) -> Tensor:
        """Return new latents from a separate random stream."""
        distribution = getattr(self.generator, "latent_distribution", "normal")
        z = self.draw(purpose, lambda n, stream: draw_latents(distribution, n, self.generator.latent_dim, stream))
        codes = getattr(self.generator, "codes", None)
        return z if codes is None else codes.write(z, self.draw(f"codes of {purpose}", codes.draw))

    def fresh_inputs(self, purpose: str) -> dict[str, Tensor]:
        """Return new further inputs of the generator from a separate random stream."""
        draw = getattr(self.generator, "training_inputs", None)  # a user's generator may lack it
        rows, stream = self.step.rows, self.duel.named(purpose)
        drawn = draw(rows.total, self.step.random(stream)) if draw is not None else {}
        return {name: values[rows.start : rows.stop] for name, values in drawn.items()}

    # The discriminator's output -------------------------------------------------------------------------------------

    @property
    def real_output(self) -> DiscriminatorOutput:
        """The discriminator's output for the real images."""
        return self.value("real_output", lambda: self._judge(self.shown("real"), self.labels))

    @property
    def fake_output(self) -> DiscriminatorOutput:
        """The discriminator's output for the fakes."""
        return self.value("fake_output", self._judge_fakes)

    @property
    def real_logits(self) -> Tensor:
        """Logits of the real images."""
        return self.real_output.logits

    @property
    def fake_logits(self) -> Tensor:
        """Logits of the fakes."""
        return self.fake_output.logits

    def differentiable(self, which: str) -> tuple[Tensor, Tensor]:
        """Return (images, logits): those of the loss if they support a double backward, else of an exact forward."""
        images = self._images(which)
        if self._wanted(which):
            return images, self.real_logits if which == "real" else self.fake_logits
        leaf = images.detach().float().requires_grad_()
        return leaf, self.discriminate(self._augmented(leaf, which), self._labels(which)).logits

    def judge(self, images: Tensor, which: str) -> DiscriminatorOutput:
        """Run the discriminator on other images, with the labels and augmentation of "real" or "fake"."""
        return self._judge(self._augmented(images, which), self._labels(which))

    def discriminate(self, images: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Run the discriminator again, in float32 and not compiled."""
        return self._judge(images, labels, exact=True)

    def generate(self, latents: Tensor, labels: Tensor | None, inputs: dict[str, Tensor] | None = None) -> Tensor:
        """Run the generator again on other latents."""
        return self._run_generator(latents, labels, self.generator_inputs if inputs is None else inputs)

    def value(self, name: str, make: Callable[[], T], this_turn: bool = False) -> T:
        """Return the duel's value called `name`, computed once; see Memory."""
        return self.step.value(self.duel.named(name), make, this_turn)

    # Random numbers --------------------------------------------------------------------------------------------------

    def draw(self, purpose: str, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Return this process's rows of a draw for the global batch."""
        return self.step.draw(self.duel.named(purpose), draw)

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Return U[0, 1) numbers `(N, *shape)`."""
        return self.step.uniform(self.duel.named(purpose), *shape)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Return N(0, 1) numbers `(N, *shape)`."""
        return self.step.normal(self.duel.named(purpose), *shape)

    def numbers(self, prefix: str) -> Draw:
        """Return a source of random numbers for purposes whose names begin with `prefix`."""
        return self.step.numbers(self.duel.named(prefix))

    # -----------------------------------------------------------------------------------------------------------------

    def _value_ahead(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        return self.step.value_ahead(self.duel.named(name), make)

    @property
    def _generator_is_conditional(self) -> bool:
        return bool(getattr(self.generator, "num_classes", 0))

    def _images(self, which: str) -> Tensor:
        return self.real if which == "real" else self.fake

    def _labels(self, which: str) -> Tensor | None:
        return self.labels if which == "real" else self.fake_labels

    def _wanted(self, which: str) -> bool:
        """Return whether a penalty of this turn needs gradients of the shared logits with respect to these images."""
        wanted = self.duel.named(which) in self.step.turn.differentiates
        return wanted and self.step.is_exact(self.discriminator)

    def _real(self) -> Tensor:
        augment = self.duel.augment
        return self.batch_images if augment is None else self.value("real", partial(augment.real, self))

    def _fake(self) -> Tensor:
        once = self.value if self.latents.requires_grad else self._value_ahead
        return once("fake", self._generate)

    def _leaf(self, which: str, read: Callable[[], Tensor]) -> Tensor:
        """Return images that require gradients if a penalty wants them; read in `value`, which records what is read."""
        images = read()
        if not self._wanted(which) or images.requires_grad:
            return images
        return self.value(f"{which} leaf", lambda: read().detach().requires_grad_(), this_turn=True)

    def _judge(self, images: Tensor, labels: Tensor | None, exact: bool = False) -> DiscriminatorOutput:
        given: dict[str, Any] = {"labels": labels, "condition": self.condition, "exact": exact}
        return as_output(self.run(self.discriminator, images, **given))

    def _judge_fakes(self) -> DiscriminatorOutput:
        output = self._judge(self.shown("fake"), self.fake_labels)
        output.extras["latents"] = self.latents
        return output

    def _augmented(self, images: Tensor, which: str) -> Tensor:
        """Augment in float32, with new random numbers in each turn; gradients flow back to the original images."""
        augment = self.duel.augment
        if augment is None:
            return images
        with torch.autocast(images.device.type, enabled=False):
            return augment(images.float(), self.numbers(f"augment/{which}/{self.step.turn.name}"))

    def _run_generator(
        self, latents: Tensor, labels: Tensor | None, inputs: dict[str, Tensor], exact: bool = False
    ) -> Tensor:
        labels = labels if self._generator_is_conditional else None  # a user's generator may take only z
        given: dict[str, Any] = {"labels": labels, "exact": exact, **inputs}
        return self.run(self.generator, latents, **given)

    def _generate(self) -> Tensor:
        return self.generate(self.latents, self.fake_labels)

    def _draw_labels(self) -> Tensor:
        classes, device = self.generator.num_classes, self.step.device
        return self.draw("labels", lambda n, s: torch.randint(classes, (n,), generator=s, device=device))

    def _optimize_latents(self) -> Tensor:
        """Optimise the noise; codes stay as drawn, since the head predicts the drawn values."""
        assert self.duel.latent_optimization is not None
        uniform = getattr(self.generator, "latent_distribution", "normal") == "uniform"
        bound, codes = UNIFORM_BOUND if uniform else None, getattr(self.generator, "codes", None)
        drawn = self.drawn_latents
        noise, told = (drawn, drawn[:, :0]) if codes is None else codes.split(drawn)

        def score(noise: Tensor) -> Tensor:
            return self._score(torch.cat([noise, told], dim=1))

        moved = self.duel.latent_optimization(noise, score, self.uniform("optimized latents", 1), bound)
        return torch.cat([moved, told], dim=1)

    def _score(self, latents: Tensor) -> Tensor:
        """Return the logits of images generated from `latents`, with a graph that supports a double backward."""
        images = self._run_generator(latents, self.fake_labels, self.generator_inputs, exact=True)
        return self.discriminate(self._augmented(images, "fake"), self.fake_labels).logits
