"""The GAN: a generator against a discriminator, and the losses of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

from torch import nn

from gan_lightning.augment import Augment
from gan_lightning.errors import UserError
from gan_lightning.inference.producers import Picture, Producer, Samples, picture_of_codes
from gan_lightning.losses import AdversarialLoss, GeneratorLoss, NonSaturating
from gan_lightning.modules.duel import Duel, DuelValues
from gan_lightning.modules.game import ADAM, Game, OptimizerFactory
from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks.base import Backbone, Generator
from gan_lightning.regularizers import Constraint, Regularizer
from gan_lightning.training.engine import Phase, Terms
from gan_lightning.training.options import check_counts


class GAN(Game):
    """A generator against a discriminator, with any loss and any regularisers.

    A variant of the game is a subclass that overrides `phases` or one of the losses.

    generator: `forward(z (N, latent_dim), labels (N,) or None)` -> images `(N, C, H, W)` in [-1, 1].
    discriminator: `forward(images, labels)` -> DiscriminatorOutput, or only the logits.
    loss: non-saturating by default.
    generator_loss: how the generator uses the loss; by default all fakes and no further terms.
    regularizers: penalties and constraints, by the names under which they are logged.
    augment: augmentation of the discriminator's input, real and fake, in both players' phases; None for none.
    generator_optimizer, discriminator_optimizer: build an optimiser from a list of parameters.
    latent_optimization: an update of the latents before the generator uses them in training (LOGAN), None for none.
    d_steps: discriminator steps for each generator step.
    freeze_d: number of the discriminator's first stages, from the image on, that are frozen. FreezeD: Mo, Cho and Shin
        2020, arXiv 2002.10964; use it with `init_from`. Raises UserError if there are fewer stages.
    options: training options, see TrainingOptions: schedules, ema_kimg, accumulate, clip_norm, seed, log_every, ...
    """

    averaged: ClassVar[tuple[str, ...]] = ("generator",)
    generator_ema: Generator | None

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        loss: AdversarialLoss | None = None,
        generator_loss: GeneratorLoss | None = None,
        regularizers: Mapping[str, Regularizer | Constraint] | None = None,
        augment: Augment | None = None,
        generator_optimizer: OptimizerFactory = ADAM,
        discriminator_optimizer: OptimizerFactory = ADAM,
        latent_optimization: LatentOptimization | None = None,
        d_steps: int = 1,
        freeze_d: int = 0,
        **options: Any,
    ) -> None:
        check_counts(d_steps=d_steps)
        super().__init__(**options)
        self.generator = cast(Generator, generator)  # or a user's module with the same attributes
        self.discriminator, self.augment = discriminator, augment
        self.duel = Duel(
            generator,
            discriminator,
            loss or NonSaturating(),
            generator_loss or GeneratorLoss(),
            dict(regularizers or {}),
            augment,
            latent_optimization,
        )
        self.duel.share_codes()
        self.regularizer_state = self.duel.stateful_regularizers()
        self.optimizer_factories = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}
        self.d_steps = self.intervals["generator"] = d_steps
        self.frozen = first_stages(self.discriminator, freeze_d) if freeze_d else []
        self.keep_averages()

    def networks(self) -> dict[str, nn.Module]:
        """Return generator and discriminator."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def duels(self) -> list[Duel]:
        """Return the one duel."""
        return [self.duel]

    def phases(self) -> list[Phase]:
        """Return the phases of one iteration: discriminator, generator, then the lazy regularisers."""
        discriminator = self.turn("discriminator", self.discriminator_loss)
        return [discriminator, self.turn("generator", self.generator_loss), *self.lazy_turns()]

    def discriminator_loss(self, step: DuelValues) -> Iterator[Terms]:
        """Yield the discriminator's adversarial terms by name; those of head and regularisers are added to them."""
        return self.duel.minimised_by_discriminator(step)

    def generator_loss(self, step: DuelValues) -> Terms:
        """Return the generator's adversarial terms by name; those of head and regularisers are added to them."""
        return self.duel.minimised_by_generator(step)

    def producers(self, seed: int = 0, raw: bool = False) -> dict[str, Producer]:
        """Return {"samples": a producer of the averaged generator if there is one, else of the raw one}."""
        if raw or self.generator_ema is None:
            return {"samples": Samples(self.generator, seed)}
        return {"samples": Samples(self.generator_ema, seed, averaged=True)}

    def pictures(self, rows: int, columns: int, points: int, seed: int) -> dict[str, Picture]:
        """Return samples, and for InfoGAN a picture in which each row varies one code."""
        codes = picture_of_codes(self.generator_ema or self.generator, columns, seed)
        return super().pictures(rows, columns, points, seed) | codes

    @property
    def loss(self) -> AdversarialLoss:
        """The adversarial loss."""
        return self.duel.loss

    @property
    def regularizers(self) -> Mapping[str, Regularizer | Constraint]:
        """The regularisers by name."""
        return self.duel.regularizers


def first_stages(discriminator: nn.Module, count: int) -> list[nn.Module]:
    """Return the layers of the first `count` stages of a discriminator; raise UserError if it has fewer."""
    backbone = getattr(discriminator, "backbone", None)
    if not isinstance(backbone, Backbone):
        raise UserError(
            f"model.freeze_d={count} freezes stages of a backbone, and {type(discriminator).__name__} has none: set it "
            "to 0, or build the discriminator of a gan_lightning.networks.Backbone and a head."
        )
    stages = backbone.stages()
    if not 0 <= count <= len(stages):
        raise UserError(
            f"model.freeze_d={count} is out of range: {type(backbone).__name__} has {len(stages)} "
            f"stage{'s' * (len(stages) != 1)} here: give a whole number from 0 to {len(stages)}."
        )
    return [layer for stage in stages[:count] for layer in stage]
