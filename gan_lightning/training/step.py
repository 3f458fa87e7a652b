"""One iteration as losses and regularisers see it: the batch, and what the networks say of it, computed on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import DiscriminatorOutput, Generator, as_output
from gan_lightning.streams import UNIFORM_BOUND, draw_latents
from gan_lightning.streams import generator as random_stream
from gan_lightning.training.distributed import mean_over_processes

if TYPE_CHECKING:
    from gan_lightning.augment.base import Augment, Draw

T = TypeVar("T")
LatentOptimizer = Callable[[Tensor, Callable[[Tensor], Tensor], Tensor, float | None], Tensor]
"""Maps (latents, what scores latents, uniform numbers `(N, 1)`, largest magnitude or None) to better latents."""


@dataclass(frozen=True)
class Rows:
    """Which rows [start, stop) of the global batch of `total` these are."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True)
class PrefixedDraw:
    """A step's random numbers for purposes whose names begin with `prefix`."""

    step: Step
    prefix: str

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Return U[0, 1) numbers `(N, *shape)`."""
        return self.step.uniform(f"{self.prefix}/{purpose}", *shape)

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Return N(0, 1) numbers `(N, *shape)`."""
        return self.step.normal(f"{self.prefix}/{purpose}", *shape)


class Step:
    """The batch and lazily computed latents, fakes and logits; losses and regularisers read only this.

    A cached value remembers which players' parameters it depends on and is dropped when one of them moves, and when
    another player's turn begins: nobody sees stale logits, or a graph through frozen parameters.

    batch: `image` float in [-1, 1], `label` int64 where there are labels.
    share_fakes: the generator has its turn in this iteration, so fakes are made once, with their graph, for both.
    augment: of all images that the discriminator judges, None for none.
    low_precision: forwards run under autocast or compiled, so penalties need a float32 pass of their own.
    progress: share of the run's images already seen (0 to 1), for whatever changes over the run.
    pairs_classes: the loss compares each fake with the real image in its place, so it is asked for the same class.
    latent_optimizer: moves the drawn latents, but for codes, before they are used; None to use them as drawn.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: nn.Module,
        batch: dict[str, Tensor],
        *,
        seed: int = 0,
        iteration: int = 0,
        rows: Rows | None = None,
        augment: Augment | None = None,
        share_fakes: bool = False,
        low_precision: bool = False,
        progress: float = 0.0,
        pairs_classes: bool = False,
        latent_optimizer: LatentOptimizer | None = None,
    ) -> None:
        self.generator, self.discriminator = generator, discriminator
        self.batch, self.seed, self.iteration = batch, seed, iteration
        self.size = len(batch["image"])
        self.rows = rows or Rows(0, self.size, self.size)
        self.augment, self.share_fakes, self.low_precision = augment, share_fakes, low_precision
        self.progress, self.pairs_classes, self.latent_optimizer = progress, pairs_classes, latent_optimizer
        self.differentiates: frozenset[str] = frozenset()
        self.mover = ""
        self.backward: Callable[[Tensor], None] | None = None  # the engine's, who gives it
        self._cache: dict[str, tuple[frozenset[str], Any]] = {}

    # What engine and modules call ----------------------------------------------------------------------------------

    def begin(self, player: str, differentiates: frozenset[str] = frozenset()) -> None:
        """Start a turn of `player`; `differentiates` names the inputs ("real", "fake") whose gradients it wants."""
        self.mover, self.differentiates = player, differentiates
        self._drop("discriminator")

    def moved(self, player: str) -> None:
        """Forget all that depended on `player`, whose parameters have just changed."""
        self._drop(player)

    def split(self, parts: int) -> list[Step]:
        """Return the step in `parts` equal pieces, for gradient accumulation; each draws its own rows' numbers."""
        if parts == 1:
            return [self]
        return [self._piece(part * self.size // parts, (part + 1) * self.size // parts) for part in range(parts)]

    def settle(self, term: Tensor, which: str) -> Tensor:
        """Return the value of a term of the logits of "real" or "fake", which goes backward at once.

        That frees the memory of its graph before the next is made. Without an engine the term keeps its graph.
        """
        if self.backward is None:
            return term
        self.backward(term)
        self._cache.pop(f"{which}_output")  # whoever reads it again needs another graph
        return term.detach()

    # Random numbers ------------------------------------------------------------------------------------------------

    def random(self, purpose: str) -> torch.Generator:
        """Return the stream of this iteration for `purpose`, on the batch's device, at its start."""
        return random_stream(self.seed, self.iteration, purpose, device=self.batch["image"].device)

    def draw(self, purpose: str, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Return this process's rows of `draw(global batch size, stream)`."""
        return draw(self.rows.total, self.random(purpose))[self.rows.start : self.rows.stop]

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Return U[0, 1) numbers `(N, *shape)`."""
        device = self.batch["image"].device
        return self.draw(purpose, lambda n, stream: torch.rand(n, *shape, generator=stream, device=device))

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Return N(0, 1) numbers `(N, *shape)`."""
        device = self.batch["image"].device
        return self.draw(purpose, lambda n, stream: torch.randn(n, *shape, generator=stream, device=device))

    def numbers(self, prefix: str) -> Draw:
        """Return a source of this process's random numbers, for purposes whose names begin with `prefix`."""
        return PrefixedDraw(self, prefix)

    # What losses and regularisers read -----------------------------------------------------------------------------

    @property
    def real(self) -> Tensor:
        """Real images `(N, C, H, W)` in [-1, 1], or points `(N, 2)`."""
        return self._cached("real", {"discriminator"}, lambda: self._leaf(self._real(), "real"))

    @property
    def labels(self) -> Tensor | None:
        """Classes `(N,)` of the real images, None where the game is unconditional."""
        return self.batch.get("label") if self._conditional else None

    @property
    def latents(self) -> Tensor:
        """Latents `(N, latent_dim)`, the generator's codes among them where it has some."""
        if self.latent_optimizer is None:
            return self.drawn_latents
        return self._cached("latents", {"generator", "discriminator"}, self._optimize_latents)

    @property
    def drawn_latents(self) -> Tensor:
        """Latents as drawn, before any step that a latent optimiser takes."""
        return self._cached("drawn latents", set(), lambda: self.fresh_latents("latents"))

    @property
    def fake_labels(self) -> Tensor | None:
        """Classes `(N,)` that the fakes are asked to be, None where the game is unconditional.

        Uniform draws, or those of the real images where the loss pairs the two.
        """
        if not self._generator_is_conditional or (self.pairs_classes and self.labels is not None):
            return self.labels
        return self._cached("fake_labels", set(), self._draw_labels)

    @property
    def generator_inputs(self) -> dict[str, Tensor]:
        """Further inputs `(N, ...)` by name that the generator takes in training, such as a second latent to mix."""
        return self._cached("generator_inputs", set(), lambda: self.fresh_inputs("generator inputs"))

    def average(self, value: Tensor) -> Tensor:
        """Return the mean of `value` over all processes, cut off from its graph: for running statistics."""
        value = value.detach()
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return mean_over_processes(value.clone()) if distributed else value

    @property
    def fake(self) -> Tensor:
        """Generated images; in the generator's turn with their graph, else cut off from it.

        Optimised latents depend on the discriminator: then its gradient flows through the fakes as well.
        """
        if self.latent_optimizer is not None:
            return self._cached("attached", {"generator", "discriminator"}, self._generate)
        if self.mover == "generator":
            return self._cached("attached", {"generator"}, self._generate)
        return self._cached("detached", {"generator", "discriminator"}, self._detached_fake)

    def shown(self, which: str) -> Tensor:
        """Return the images, "real" or "fake", as the discriminator is shown them: augmented."""
        images = self.real if which == "real" else self.fake
        if self.augment is None:
            return images
        needs = {"discriminator"} if which == "real" else {"discriminator", "generator"}
        return self._cached(f"shown {which}", needs, lambda: self._augmented(images, which))

    @property
    def real_output(self) -> DiscriminatorOutput:
        """What the discriminator says of the real images."""
        return self._cached("real_output", {"discriminator"}, lambda: self._judge(self.shown("real"), self.labels))

    @property
    def fake_output(self) -> DiscriminatorOutput:
        """What the discriminator says of the fakes; its extra "latents" are what they were made of."""
        return self._cached("fake_output", {"discriminator", "generator"}, self._judge_fakes)

    @property
    def real_logits(self) -> Tensor:
        """Logits of the real images."""
        return self.real_output.logits

    @property
    def fake_logits(self) -> Tensor:
        """Logits of the fakes."""
        return self.fake_output.logits

    def differentiable(self, which: str) -> tuple[Tensor, Tensor]:
        """Return (images, logits) of "real" or "fake" with a graph from logits to images.

        The logits that the loss used serve again where they can; under low precision, or where this turn did not
        announce the wish, a float32 pass is made.
        """
        images = self.real if which == "real" else self.fake
        if which in self.differentiates and not self.low_precision:
            return images, self.real_logits if which == "real" else self.fake_logits
        leaf = images.detach().float().requires_grad_()
        labels = self.labels if which == "real" else self.fake_labels
        return leaf, self.discriminate(self._augmented(leaf, which), labels).logits

    def judge(self, images: Tensor, which: str) -> DiscriminatorOutput:
        """Run the discriminator on images in the place of "real" or "fake": with the same labels and augmentation."""
        return self._judge(self._augmented(images, which), self.labels if which == "real" else self.fake_labels)

    def generate(self, latents: Tensor, labels: Tensor | None, inputs: dict[str, Tensor] | None = None) -> Tensor:
        """Run the generator uncached on `latents` `(N, latent_dim)` for classes `labels`, where it has classes.

        inputs: further ones, None for those of the fakes: then images differ from the fakes by their latents alone.
        """
        given = (labels,) if self._generator_is_conditional else ()  # a user's own may take z alone
        return self.generator(latents, *given, **(self.generator_inputs if inputs is None else inputs))

    def discriminate(self, images: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Run the discriminator uncached, in float32 and not compiled: the way for input gradients."""
        with torch.autocast(images.device.type, enabled=False):
            return as_output(self.discriminator.forward(images.float(), labels))

    def fresh_latents(self, purpose: str) -> Tensor:
        """Return latents `(N, latent_dim)` of a stream of their own, drawn as `latents` are."""
        distribution = getattr(self.generator, "latent_distribution", "normal")
        z = self.draw(purpose, lambda n, stream: draw_latents(distribution, n, self.generator.latent_dim, stream))
        codes = getattr(self.generator, "codes", None)
        return z if codes is None else codes.write(z, self.draw(f"codes of {purpose}", codes.draw))

    def fresh_inputs(self, purpose: str) -> dict[str, Tensor]:
        """Return further inputs of the generator of a stream of their own, drawn as `generator_inputs` are."""
        draw = getattr(self.generator, "training_inputs", None)  # a user's own generator need not have it
        drawn = draw(self.rows.total, self.random(purpose)) if draw is not None else {}
        return {name: values[self.rows.start : self.rows.stop] for name, values in drawn.items()}

    # ---------------------------------------------------------------------------------------------------------------

    @property
    def _generator_is_conditional(self) -> bool:
        return bool(getattr(self.generator, "num_classes", 0))

    @property
    def _conditional(self) -> bool:
        return self._generator_is_conditional or bool(getattr(self.discriminator, "needs_labels", False))

    def _judge(self, images: Tensor, labels: Tensor | None) -> DiscriminatorOutput:
        return as_output(self.discriminator(images) if labels is None else self.discriminator(images, labels))

    def _judge_fakes(self) -> DiscriminatorOutput:
        output = self._judge(self.shown("fake"), self.fake_labels)
        output.extras["latents"] = self.latents
        return output

    def _real(self) -> Tensor:
        return self.batch["image"] if self.augment is None else self.augment.real(self)

    def _augmented(self, images: Tensor, which: str) -> Tensor:
        """Augment in float32, with numbers of this turn's own: the gradients reach the images as they were."""
        if self.augment is None:
            return images
        with torch.autocast(images.device.type, enabled=False):
            return self.augment(images.float(), self.numbers(f"augment/{which}/{self.mover}"))

    def _leaf(self, images: Tensor, which: str) -> Tensor:
        wanted = which in self.differentiates and not self.low_precision
        return images.detach().requires_grad_() if wanted else images

    def _optimize_latents(self) -> Tensor:
        """Move the noise; codes stay as drawn, since the head asks the images for just these."""
        assert self.latent_optimizer is not None
        uniform = getattr(self.generator, "latent_distribution", "normal") == "uniform"
        bound, codes = UNIFORM_BOUND if uniform else None, getattr(self.generator, "codes", None)
        drawn = self.drawn_latents
        noise, told = (drawn, drawn[:, :0]) if codes is None else codes.split(drawn)

        def score(noise: Tensor) -> Tensor:
            return self._score(torch.cat([noise, told], dim=1))

        moved = self.latent_optimizer(noise, score, self.uniform("optimized latents", 1), bound)
        return torch.cat([moved, told], dim=1)

    def _score(self, latents: Tensor) -> Tensor:
        """Return the logits of what the generator makes of `latents`, in float32 and not compiled."""
        with torch.autocast(latents.device.type, enabled=False):
            labels = self.fake_labels if self._generator_is_conditional else None
            images = self.generator.forward(latents, labels, **self.generator_inputs)
        return self.discriminate(self._augmented(images, "fake"), self.fake_labels).logits

    def _draw_labels(self) -> Tensor:
        classes, device = self.generator.num_classes, self.batch["image"].device
        return self.draw("labels", lambda n, s: torch.randint(classes, (n,), generator=s, device=device))

    def _generate(self) -> Tensor:
        return self.generate(self.latents, self.fake_labels)

    def _detached_fake(self) -> Tensor:
        if self.share_fakes:
            with trainable(self.generator):
                images = self._cached("attached", {"generator"}, self._generate)
        else:
            with torch.no_grad():
                images = self._generate()
        return self._leaf(images.detach(), "fake")

    def _piece(self, low: int, high: int) -> Step:
        batch = {name: values[low:high] for name, values in self.batch.items()}
        rows = Rows(self.rows.start + low, self.rows.start + high, self.rows.total)
        piece = Step(
            self.generator,
            self.discriminator,
            batch,
            seed=self.seed,
            iteration=self.iteration,
            rows=rows,
            augment=self.augment,
            low_precision=self.low_precision,
            progress=self.progress,
            pairs_classes=self.pairs_classes,
            latent_optimizer=self.latent_optimizer,
        )
        piece.begin(self.mover, self.differentiates)
        return piece

    def _cached(self, name: str, needs: set[str], compute: Callable[[], T]) -> T:
        if name not in self._cache:
            self._cache[name] = (frozenset(needs), compute())
        return self._cache[name][1]

    def _drop(self, player: str) -> None:
        self._cache = {name: entry for name, entry in self._cache.items() if player not in entry[0]}


@contextmanager
def trainable(network: nn.Module) -> Iterator[None]:
    """Let a frozen network record a graph for a moment."""
    frozen = [parameter for parameter in network.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
