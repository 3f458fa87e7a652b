"""A duel: a generator and the discriminator that judges it, with all that works in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from gan_lightning.augment import Augment
from gan_lightning.contracts import ROLES, Role
from gan_lightning.losses import AdversarialLoss, GeneratorLoss, NonSaturating, SeparableLoss
from gan_lightning.modules.duel_step import DuelValues
from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks.heads import Head
from gan_lightning.regularizers import Constraint, Regularizer
from gan_lightning.training.engine import Terms, groups
from gan_lightning.training.step import Step

DuelLoss = Callable[[DuelValues], Terms | Iterable[Terms]]


@dataclass(eq=False)
class Duel:
    """Who plays, and by which rules; a game has one duel or several.

    generator, discriminator: the networks.
    loss: of both; generator_loss: how the generator uses it.
    regularizers: by name; each has a role.
    augment: of what the discriminator sees, None for none.
    latent_optimization: a step that latents take first (LOGAN), None for none.
    name: tells the duel from the game's others in logs and random numbers, "" where it is the only one.
    players: the player that moves in each role.
    image, condition: the batch's fields of real images, and of what the discriminator gets beside them, None for none.
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
        """Return how this duel sees `step`."""
        return step.view(self, partial(DuelValues, self))

    def named(self, name: str) -> str:
        """Return `name` as it is among the game's other duels."""
        return f"{self.name}/{name}" if self.name else name

    # What each role minimises ----------------------------------------------------------------------------------------

    def terms(self, role: Role, loss: DuelLoss | None, step: Step) -> Iterator[Terms]:
        """Yield the terms of a role's main turn in groups: of `loss` (None: its own), then head's and penalties'."""
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
        """Yield the adversarial loss, of real images first where it is a sum of the two."""
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
        """Return the generator's side of the loss, by its options."""
        return self.generator_loss(None if self.head_plays_alone else self.loss, step, step.epoch)

    def head_terms(self, step: DuelValues, role: Role) -> Terms:
        """Return the terms that the discriminator's head adds for class labels, summed over real and fake by name."""
        head = self.head
        if head is None or not head.has_terms:
            return {}
        terms = head.loss(step.fake_output, step.fake_labels, role, False)
        if role == "discriminator":
            for name, value in head.loss(step.real_output, step.labels, role, True).items():
                terms[name] = terms[name] + value if name in terms else value
        return {f"{name}_{role}": value for name, value in terms.items()}

    def latent_terms(self, step: DuelValues, role: Role) -> Terms:
        """Return what the step that latents took costs both roles."""
        if self.latent_optimization is None:
            return {}
        return {f"latent_step_{role}": self.latent_optimization.cost(step.latents, step.drawn_latents)}

    def lazy_term(self, name: str, step: Step) -> Terms:
        """Return the penalty of that name, as many times as strong as it is rare."""
        penalty = self.penalties()[name]
        return self._named({name: penalty(self.at(step)) * penalty.every})

    # What the game asks ----------------------------------------------------------------------------------------------

    @property
    def head(self) -> Head | None:
        """The discriminator's head; a user's own discriminator may call anything so."""
        head = getattr(self.discriminator, "head", None)
        return head if isinstance(head, Head) else None

    @property
    def head_plays_alone(self) -> bool:
        """Whether the head's own terms are the whole game."""
        return self.head is not None and self.head.plays_alone

    def penalties(self, role: Role | None = None) -> dict[str, Regularizer]:
        """Return the penalties of a role by name, None for those of both."""
        every = {name: r for name, r in self.regularizers.items() if isinstance(r, Regularizer)}
        return {name: r for name, r in every.items() if role in (None, r.role)}

    def constraints(self, role: Role) -> list[Callable[[], None]]:
        """Return what is applied to the role's network after each of its steps."""
        network = getattr(self, role)
        mine = [c for c in self.regularizers.values() if isinstance(c, Constraint) and c.role == role]
        return [partial(constraint.apply, network) for constraint in mine]

    def differentiates(self, role: Role) -> frozenset[str]:
        """Return the inputs whose gradients penalties of the role's main turn take out of the shared forward."""
        return self.wishes(p for p in self.penalties(role).values() if p.every == 1)

    def wishes(self, penalties: Iterable[Regularizer]) -> frozenset[str]:
        """Return the inputs whose gradients `penalties` take out of the shared forward, as a phase names them."""
        return frozenset(self.named(which) for penalty in penalties for which in penalty.differentiates)

    def separable(self, role: Role) -> bool:
        """Return whether the terms of real images can go backward before the fakes are judged."""
        silent = self.head is None or not self.head.has_terms
        alone = silent and self.latent_optimization is None
        return role == "discriminator" and alone and all(p.every > 1 for p in self.penalties(role).values())

    def stateful_regularizers(self) -> nn.ModuleDict:
        """Return those with a state, which belongs into the checkpoint."""
        return nn.ModuleDict({name: r for name, r in self.regularizers.items() if isinstance(r, nn.Module)})

    def share_codes(self) -> None:
        """Tell the generator which of its latents are codes that the head reads back."""
        codes = self.head.codes if self.head is not None else None
        if codes is not None:
            codes.check(self.generator.latent_dim)
            self.generator.codes = codes

    def _named(self, terms: Terms) -> Terms:
        return {self.named(name): value for name, value in terms.items()}

    def _watch(self, step: DuelValues, name: str, logits: Tensor) -> None:
        """Log D(x) or D(G(z)): beliefs where logits are log-odds, else raw scores."""
        logits = logits.detach()
        step.step.watch(self.named(name), (logits.sigmoid() if self.loss.logits_are_log_odds else logits).mean())


def movers(duel: Duel, role: Role) -> list[nn.Parameter]:
    """Return the parameters that move in a role; the generator's has those that the head shares with it, too."""
    shared = duel.head.generator_parameters() if role == "generator" and duel.head is not None else ()
    return [*getattr(duel, role).parameters(), *shared]
