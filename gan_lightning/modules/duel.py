"""A duel: a generator, the discriminator that judges it, and their losses and other parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_lightning.augment import Augment
from gan_lightning.contracts import ROLES, Role
from gan_lightning.losses import AdversarialLoss, GeneratorLoss, NonSaturating, SeparableLoss
from gan_lightning.modules import duel_data, slopes
from gan_lightning.modules.duel_step import DuelValues
from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks.base import BatchSize
from gan_lightning.networks.heads import Head
from gan_lightning.regularizers import Constraint, Regularizer
from gan_lightning.streams import draw_latents
from gan_lightning.training.engine import Terms, groups
from gan_lightning.training.step import Step

DuelLoss = Callable[[DuelValues], Terms | Iterable[Terms]]


@dataclass(eq=False)
class Duel:
    """The networks of a duel and its parts; a game has one duel or several.

    generator, discriminator: the networks.
    loss: adversarial loss of both roles. generator_loss: how the generator uses it.
    regularizers: by name; each belongs to a role.
    augment: augmentation of the discriminator's input, None for none.
    latent_optimization: an update of the latents before they are used (LOGAN), None for none.
    name: distinguishes the duel from others of the game in logs and random numbers; "" for a single duel.
    players: the player of each role.
    image, condition: names of the batch's fields with real images, and with the discriminator's condition (or None).
    """

    generator: Any
    discriminator: Any
    loss: AdversarialLoss = field(default_factory=NonSaturating)
    generator_loss: GeneratorLoss = field(default_factory=GeneratorLoss)
    regularizers: Mapping[str, Regularizer | Constraint] = field(default_factory=dict)
    augment: Augment | None = None
    latent_optimization: LatentOptimization | None = None
    name: str = ""
    players: Mapping[Role, str] = field(default_factory=lambda: {role: role for role in ROLES})
    image: str = "image"
    condition: str | None = None

    def at(self, step: Step) -> DuelValues:
        """Return the values of `step` for this duel."""
        return DuelValues(self, step)

    def named(self, name: str) -> str:
        """Return `name` with the duel's name in front, which makes it unique in the game."""
        return f"{self.name}/{name}" if self.name else name

    # What each role minimises ----------------------------------------------------------------------------------------

    def terms(self, role: Role, loss: DuelLoss | None, step: Step) -> Iterator[Terms]:
        """Yield the loss terms of a role in groups: those of `loss` (None: the duel's), of the head, of penalties."""
        seen = self.at(step)
        if role == "discriminator" and self.augment is not None:
            self.augment.observe(seen)
        for group in groups((loss or getattr(self, f"minimised_by_{role}"))(seen)):
            yield self._named(group)
        steady = {name: penalty(seen) for name, penalty in self.penalties(role).items() if penalty.every == 1}
        rest = self.head_terms(seen, role) | self.latent_terms(seen, role) | steady
        if rest:
            yield self._named(rest)

    def minimised_by_discriminator(self, step: DuelValues) -> Iterator[Terms]:
        """Yield the adversarial loss; a separable one in two terms, first that of real images."""
        self._watch(step, "D(x)", step.real_logits)
        if self.head_plays_alone:
            terms = {}
        elif isinstance(self.loss, SeparableLoss):
            yield {"discriminator": self.loss.of_real(step.real_logits)}
            terms = {"discriminator": self.loss.of_fake(step.fake_logits)}
        else:
            terms = {"discriminator": self.loss.discriminator(step.real_logits, step.fake_logits)}
        self._watch(step, "D(G(z))", step.fake_logits)
        yield terms

    def minimised_by_generator(self, step: DuelValues) -> Terms:
        """Return the generator's loss terms."""
        return self.generator_loss(None if self.head_plays_alone else self.loss, step, step.epoch)

    def head_terms(self, step: DuelValues, role: Role) -> Terms:
        """Return the head's terms for class labels by name, each summed over real and fake images."""
        head = self.head
        if head is None or not head.has_terms:
            return {}
        terms = head.loss(step.fake_output, step.fake_labels, role, False)
        if role == "discriminator":
            for name, value in head.loss(step.real_output, step.labels, role, True).items():
                terms[name] = terms[name] + value if name in terms else value
        return {f"{name}_{role}": value for name, value in terms.items()}

    def latent_terms(self, step: DuelValues, role: Role) -> Terms:
        """Return the cost of the latents' update, which both roles minimise."""
        if self.latent_optimization is None:
            return {}
        return {f"latent_step_{role}": self.latent_optimization.cost(step.latents, step.drawn_latents)}

    def lazy_term(self, name: str, step: Step) -> Terms:
        """Return the lazy penalty called `name`, multiplied by its `every`."""
        penalty = self.penalties()[name]
        return self._named({name: penalty(self.at(step)) * penalty.every})

    # What the game asks ----------------------------------------------------------------------------------------------

    @property
    def head(self) -> Head | None:
        """The discriminator's head; None if its attribute `head` is something else."""
        head = getattr(self.discriminator, "head", None)
        return head if isinstance(head, Head) else None

    @property
    def head_plays_alone(self) -> bool:
        """Whether the head's terms replace the adversarial loss."""
        return self.head is not None and self.head.plays_alone

    def penalties(self, role: Role | None = None) -> dict[str, Regularizer]:
        """Return the penalties of a role by name; None: of both roles."""
        every = {name: r for name, r in self.regularizers.items() if isinstance(r, Regularizer)}
        return {name: r for name, r in every.items() if role in (None, r.role)}

    def constraints(self, role: Role) -> list[Callable[[], None]]:
        """Return the constraints that are applied to the role's network after each of its steps."""
        network = getattr(self, role)
        mine = [c for c in self.regularizers.values() if isinstance(c, Constraint) and c.role == role]
        return [partial(constraint.apply, network) for constraint in mine]

    def differentiates(self, role: Role) -> frozenset[str]:
        """Return the inputs for which penalties in the role's main turn need gradients of the shared logits."""
        return self.wishes(p for p in self.penalties(role).values() if p.every == 1)

    def wishes(self, penalties: Iterable[Regularizer]) -> frozenset[str]:
        """Return the inputs for which `penalties` need gradients of the shared logits, with the duel's name."""
        return frozenset(self.named(which) for penalty in penalties for which in penalty.differentiates)

    def separable(self, role: Role) -> bool:
        """Return whether the backward of the real images' terms can run before the fakes are judged."""
        silent = self.head is None or not self.head.has_terms
        alone = silent and self.latent_optimization is None
        return role == "discriminator" and alone and all(p.every > 1 for p in self.penalties(role).values())

    def stateful_regularizers(self) -> nn.ModuleDict:
        """Return the regularisers with a state, which is saved in the checkpoint."""
        return nn.ModuleDict({name: r for name, r in self.regularizers.items() if isinstance(r, nn.Module)})

    def check(self, data: Any = None, parts: int = 1) -> None:
        """Raise UserError if parts of the duel cannot work together, or cannot work on `data` if it is given.

        parts: number of equal parts in which a batch is processed.
        """
        draw_latents(getattr(self.generator, "latent_distribution", "normal"), 1, 1, torch.Generator())
        self.generator_loss.check(self)
        slopes.check(self)
        if self.augment is not None:
            self.augment.check(self)
        for name, regularizer in self.regularizers.items():
            regularizer.check(name, self)
        if data is not None:
            duel_data.check(self, data)
        if getattr(data, "batch_size", None) is not None:
            duel_data.check_batch(self, BatchSize(data.batch_size, parts, getattr(self.discriminator, "pack", 1)))

    @property
    def makes_points(self) -> bool:
        """Whether the generator makes 2-D points instead of images."""
        return len(getattr(self.generator, "image_shape", (0, 0, 0))) == 1

    def share_codes(self) -> None:
        """Tell the generator which of its latents are codes that the head predicts."""
        codes = self.head.codes if self.head is not None else None
        if codes is not None:
            codes.check(self.generator.latent_dim)
            self.generator.codes = codes

    def _named(self, terms: Terms) -> Terms:
        return {self.named(name): value for name, value in terms.items()}

    def _watch(self, step: DuelValues, name: str, logits: Tensor) -> None:
        """Log D(x) or D(G(z)): as probabilities if logits are log-odds, else as raw scores."""
        logits = logits.detach()
        step.step.watch(self.named(name), (logits.sigmoid() if self.loss.logits_are_log_odds else logits).mean())


def movers(duel: Duel, role: Role) -> list[nn.Parameter]:
    """Return the parameters that a role updates; the generator also updates those that the head shares with it."""
    shared = duel.head.generator_parameters() if role == "generator" and duel.head is not None else ()
    return [*getattr(duel, role).parameters(), *shared]
