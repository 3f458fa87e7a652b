"""The GAN: who plays against whom, and what each minimises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.augment import Augment
from gan_lightning.data.degradations import degrade, training_rows
from gan_lightning.data.prepare import prepare
from gan_lightning.errors import UserError, check_range
from gan_lightning.losses import AdversarialLoss, GeneratorLoss, NonSaturating, SeparableLoss
from gan_lightning.modules.base import AdversarialModule
from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks.base import Generator
from gan_lightning.networks.heads import Head
from gan_lightning.regularizers import Constraint, Regularizer
from gan_lightning.streams import key, reseed_layers
from gan_lightning.training.average import ExponentialMovingAverage, frozen_copy
from gan_lightning.training.distributed import ReplicaStrategy, average_gradients
from gan_lightning.training.engine import Engine, Phase
from gan_lightning.training.player import Player, Schedule, correct_for_lazy_steps
from gan_lightning.training.step import Rows, Step

OptimizerFactory = Callable[[list[nn.Parameter]], Optimizer]
ADAM: OptimizerFactory = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999), fused=True)  # Radford et al. 2015


class GAN(AdversarialModule):
    """A generator against a discriminator, with any loss and any regularisers.

    A variant of the game is a subclass that overrides `phases` or one of the losses.

    generator: `forward(z (N, latent_dim), labels (N,) or None)` -> images `(N, C, H, W)` in [-1, 1].
    discriminator: `forward(images, labels)` -> DiscriminatorOutput, or just the logits.
    loss: non-saturating by default.
    generator_loss: how the generator uses it; plainly by default.
    regularizers: by name, as they are logged; penalties and constraints.
    augment: of what the discriminator sees, real and fake, in both players' turns; None for none.
    generator_optimizer, discriminator_optimizer: build an optimiser from a list of parameters.
    latent_optimization: a step that latents take before the generator uses them in training (LOGAN), None for none.
    schedule: factor on both learning rates over the run's progress (0 to 1), None for constant.
    beta2_schedule, ema_schedule: the same on 1 - beta2 of Adam and on ema_kimg.
    d_steps: steps of the discriminator for each of the generator.
    ema_kimg: half-life of the generator's weight average in thousands of images, None for no average.
    ema_rampup: the half-life is at most this share of the images seen.
    accumulate: each batch goes through in this many pieces whose gradients add up.
    clip_norm: largest gradient norm of a step, None for no limit.
    channels_last: keep images and convolutions in that memory format, the faster one on CPUs and tensor cores.
    seed: of all random numbers of the training.
    log_every: iterations between two reports of the training scalars.
    """

    engine: Engine  # both from the start of the fit
    average: ExponentialMovingAverage

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
        schedule: Schedule | None = None,
        beta2_schedule: Schedule | None = None,
        ema_schedule: Schedule | None = None,
        d_steps: int = 1,
        ema_kimg: float | None = 10.0,
        ema_rampup: float | None = 0.05,
        accumulate: int = 1,
        clip_norm: float | None = None,
        channels_last: bool = True,
        seed: int = 0,
        log_every: int = 20,
    ) -> None:
        super().__init__()
        for name, value in {"d_steps": d_steps, "accumulate": accumulate, "log_every": log_every}.items():
            if value < 1:
                raise UserError(f"{name}={value} is out of range: it is a whole number of at least 1.")
        check_range("model", 0, above=True, ema_kimg=ema_kimg, ema_rampup=ema_rampup)
        self.automatic_optimization = False
        self.generator = cast(Generator, generator)  # or a user's own module with the same attributes
        self.discriminator = discriminator
        self._share_codes()
        self.generator_ema = frozen_copy(self.generator) if ema_kimg else None
        self.loss, self.generator_options = loss or NonSaturating(), generator_loss or GeneratorLoss()
        self.regularizers = dict(regularizers or {})
        # Those with a state are modules, and belong into the checkpoint.
        stateful = {name: r for name, r in self.regularizers.items() if isinstance(r, nn.Module)}
        self.regularizer_state = nn.ModuleDict(stateful)
        self.augment = augment
        self.optimizer_factories = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}
        self.latent_optimization, self.d_steps = latent_optimization, d_steps
        self.schedule, self.beta2_schedule, self.ema_schedule = schedule, beta2_schedule, ema_schedule
        self.ema_kimg, self.ema_rampup = ema_kimg, ema_rampup
        self.accumulate, self.clip_norm = accumulate, clip_norm
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.seed, self.log_every = seed, log_every

    # The game --------------------------------------------------------------------------------------------------------

    def phases(self) -> list[Phase]:
        """Return the turns of one iteration: discriminator, generator, then the lazy regularisers'."""
        turns = [self._turn("discriminator", self.discriminator_loss), self._turn("generator", self.generator_loss)]
        return turns + [self._lazy_turn(name) for name, penalty in self._penalties().items() if penalty.every > 1]

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        """Return what the discriminator minimises, by name."""
        self._watch("D(x)", step.real_logits)
        terms = {} if self._head_plays_alone else {"discriminator": self._adversarial_loss(step)}
        self._watch("D(G(z))", step.fake_logits)
        return terms

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """Return what the generator minimises, by name."""
        loss = None if self._head_plays_alone else self.loss
        return self.generator_options(loss, step, self.iteration // (self.batches_per_epoch or 1))

    def head_loss(self, step: Step, player: str) -> dict[str, Tensor]:
        """Return the terms that the discriminator's head adds for class labels, summed over real and fake by name."""
        head = self._head
        if head is None or not head.has_terms:
            return {}
        terms = head.loss(step.fake_output, step.fake_labels, player, False)
        if player == "discriminator":
            for name, value in head.loss(step.real_output, step.labels, player, True).items():
                terms[name] = terms[name] + value if name in terms else value
        return {f"{name}_{player}": value for name, value in terms.items()}

    def latent_loss(self, step: Step, player: str) -> dict[str, Tensor]:
        """Return what the step that latents took costs both players."""
        if self.latent_optimization is None:
            return {}
        return {f"latent_step_{player}": self.latent_optimization.cost(step.latents, step.drawn_latents)}

    @property
    def _head(self) -> Head | None:
        head = getattr(self.discriminator, "head", None)
        return head if isinstance(head, Head) else None  # a user's own discriminator may call anything so

    @property
    def _head_plays_alone(self) -> bool:
        return self._head is not None and self._head.plays_alone

    def _adversarial_loss(self, step: Step) -> Tensor:
        loss = self.loss
        if isinstance(loss, SeparableLoss) and self._loss_alone_reads_logits:
            return step.settle(loss.of_real(step.real_logits), "real") + loss.of_fake(step.fake_logits)
        return loss.discriminator(step.real_logits, step.fake_logits)

    @property
    def _loss_alone_reads_logits(self) -> bool:
        head_is_silent = self._head is None or not self._head.has_terms
        return head_is_silent and all(penalty.every > 1 for penalty in self._penalties("discriminator").values())

    def _share_codes(self) -> None:
        """Tell the generator which of its latents are codes that the head reads back."""
        codes = self._head.codes if self._head is not None else None
        if codes is not None:
            codes.check(self.generator.latent_dim)
            self.generator.codes = codes

    def _turn(self, player: str, loss: Callable[[Step], dict[str, Tensor]]) -> Phase:
        steady = {name: p for name, p in self._penalties(player).items() if p.every == 1}

        def total(step: Step) -> dict[str, Tensor]:
            if self.augment is not None and player == "discriminator":
                self.augment.observe(step)
            terms = loss(step) | self.head_loss(step, player) | self.latent_loss(step, player)
            return terms | {name: p(step) for name, p in steady.items()}

        wanted = frozenset().union(*[p.differentiates for p in steady.values()])
        every = self.d_steps if player == "generator" else 1
        return Phase(player, self.players[player], total, every, wanted, self._constraints(player))

    def _lazy_turn(self, name: str) -> Phase:
        penalty = self._penalties()[name]
        every = penalty.every * (self.d_steps if penalty.player == "generator" else 1)
        player = self.players[penalty.player]
        return Phase(
            name,
            player,
            lambda step: {name: penalty(step) * penalty.every},
            every,
            penalty.differentiates,
            self._constraints(player.name),
        )

    def _penalties(self, player: str | None = None) -> dict[str, Regularizer]:
        every = {name: r for name, r in self.regularizers.items() if isinstance(r, Regularizer)}
        return {name: r for name, r in every.items() if player in (None, r.player)}

    def _constraints(self, player: str) -> list[Callable[[], None]]:
        network = self.player_networks()[player]
        mine = [c for c in self.regularizers.values() if isinstance(c, Constraint) and c.player == player]
        return [partial(constraint.apply, network) for constraint in mine]

    def _watch(self, name: str, logits: Tensor) -> None:
        """Record D(x) or D(G(z)): beliefs where logits are log-odds, else raw scores."""
        logits = logits.detach()
        self.scalars.add(name, (logits.sigmoid() if self.loss.logits_are_log_odds else logits).mean())

    # Lightning -------------------------------------------------------------------------------------------------------

    def player_networks(self) -> dict[str, nn.Module]:
        """Return each player's networks; those named so share its parameters."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def configure_optimizers(self) -> list[Optimizer]:
        """Build the players and return their optimisers."""
        self.to(memory_format=self.memory_format)
        for name, network in self.player_networks().items():
            parameters = list(network.requires_grad_(True).parameters())
            if name == "generator" and self._head is not None:
                parameters += self._head.generator_parameters()
            optimizer = self.optimizer_factories[name](parameters)
            correct_for_lazy_steps(optimizer, [p.every for p in self._penalties(name).values() if p.every > 1])
            self.players[name] = Player(name, parameters, optimizer, self.schedule, self.beta2_schedule)
        return [player.optimizer for player in self.players.values()]

    def on_fit_start(self) -> None:
        """Set up the engine; raises UserError where Lightning's own DDP wrapper would break the game."""
        strategy = self.trainer.strategy
        if self.trainer.world_size > 1 and not isinstance(strategy, ReplicaStrategy):
            raise UserError(
                f"strategy {type(strategy).__name__} cannot train a GAN, whose players step one at a time: pass "
                "strategy=gan_lightning.ReplicaStrategy() to the Trainer (trainer=ddp on the command line)."
            )
        if self.augment is not None:
            self.augment.check(self.generator.image_shape)
        self._check_packs()
        self.batch_fields = getattr(self._datamodule, "fields", {})
        optimizers = dict(zip(self.players, self._lightning_optimizers(), strict=True))
        self.engine = Engine(
            self.phases(),
            scalars=self.scalars,
            accumulate=self.accumulate,
            clip_norm=self.clip_norm,
            backward=self._backward,
            optimizer_step=lambda player: optimizers[player.name].step(),
            reduce_gradients=average_gradients if self.trainer.world_size > 1 else None,
            unscale=self._unscaler(),
        )
        if self.generator_ema is not None and self.ema_kimg:
            self.average = ExponentialMovingAverage(
                self.generator, self.generator_ema, self.ema_kimg * 1000, self.ema_rampup
            )
        self._low_precision = torch.is_autocast_enabled(self.device.type) or "32" not in str(self.trainer.precision)

    def on_train_start(self) -> None:
        """Measure the run, which schedules stretch over: now the number of batches is known."""
        self._total_images = self._length_in_images()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Play one iteration on a batch `image` uint8 `(N, C, H, W)` or float `(N, 2)`, `label` `(N,)`..."""
        world, rank = self.trainer.world_size, self.trainer.global_rank
        size = len(batch["image"])
        images = size * world
        reseed_layers(key(self.seed, self.iteration, "layers", rank), self.device)
        measure = (self.iteration + 1) % self.log_every == 0
        progress = self.images_seen / self._total_images
        self._follow_schedules(progress)
        step = Step(
            self.generator,
            self.discriminator,
            self.ready(batch),
            seed=self.seed,
            iteration=self.iteration,
            rows=Rows(rank * size, rank * size + size, images),
            augment=self._begin_augment(),
            share_fakes=self.engine.shares_fakes(self.iteration),
            low_precision=self._low_precision,
            progress=progress,
            pairs_classes=self.loss.needs_real,
            latent_optimizer=self.latent_optimization,
        )
        self.engine.run(step, measure)
        if self.generator_ema is not None:
            self.average.update(images, self.images_seen)
        if self.augment is not None:
            self._finish_augment(self.augment, images)
        self.iteration += 1
        self.images_seen += images
        if measure:
            self.flush()

    def ready(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return this process's rows of a batch as networks take them, with the source that the task makes."""
        batch = prepare(batch, self.batch_fields, self.memory_format)
        if self.task is None:
            return batch
        size, rank = len(batch["image"]), self.trainer.global_rank
        return degrade(batch, self.task, training_rows(self.seed, self.iteration, rank * size, size, self.device))

    def _begin_augment(self) -> Augment | None:
        if self.augment is not None:
            self.augment.begin(self.images_seen, self._total_images)
        return self.augment

    def _finish_augment(self, augment: Augment, images: int) -> None:
        augment.finish(self.iteration, images)
        for name, value in augment.scalars().items():
            self.scalars.add(name, value)

    def _follow_schedules(self, progress: float) -> None:
        for player in self.players.values():
            player.set_progress(progress)
        if self.ema_schedule is not None and self.ema_kimg:
            self.average.half_life = 1000 * self.ema_kimg * self.ema_schedule(progress)

    def _check_packs(self) -> None:
        """Refuse a batch that a discriminator of packs of images cannot divide."""
        pack, size = getattr(self.discriminator, "pack", 1), getattr(self._datamodule, "batch_size", None)
        pieces = self.trainer.world_size * self.accumulate
        if size is not None and pack > 1 and size % (pack * pieces):
            raise UserError(
                f"data.batch_size={size} cannot be divided into packs of {pack} in {pieces} equal parts (processes "
                f"times model.accumulate): take {max(size // (pack * pieces), 1) * pack * pieces}."
            )

    @property
    def _datamodule(self) -> Any:
        return getattr(self.trainer, "datamodule", None)

    def _length_in_images(self) -> float:
        """Return the images of the whole run, which schedules stretch over."""
        epochs, batches = self.trainer.max_epochs or -1, self.trainer.num_training_batches
        batch_size = getattr(self._datamodule, "batch_size", 0)
        lengths = [self.max_kimg * 1000] if self.max_kimg else []
        lengths += [epochs * batches * batch_size] if epochs > 0 and batch_size else []
        penalties = [penalty.schedule for penalty in self._penalties().values()]
        schedules = [self.schedule, self.beta2_schedule, self.ema_schedule, *penalties]
        if not lengths and any(schedule is not None for schedule in schedules):
            raise UserError("A schedule needs the run's length: set max_kimg or max_epochs.")
        return min(lengths, default=float("inf"))

    def _lightning_optimizers(self) -> Sequence[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _backward(self, loss: Tensor) -> None:
        """Run backward outside autocast, which PyTorch asks for."""
        if self._low_precision:
            with torch.autocast(self.device.type, enabled=False):
                self.manual_backward(loss)
        else:
            self.manual_backward(loss)

    def _unscaler(self) -> Callable[[Optimizer], None] | None:
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        return scaler.unscale_ if scaler is not None else None
