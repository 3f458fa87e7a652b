"""Base class of all games, a LightningModule: players, phases, and one training iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_lightning.contracts import ROLES
from gan_lightning.data.degradations import check_source, degrade, training_rows
from gan_lightning.data.prepare import prepare
from gan_lightning.errors import UserError
from gan_lightning.modules import state
from gan_lightning.modules.checks import check_duels, check_pieces
from gan_lightning.modules.duel import Duel, DuelLoss, movers
from gan_lightning.modules.record import Record
from gan_lightning.streams import key, reseed_layers
from gan_lightning.training.average import ExponentialMovingAverage, frozen_copy
from gan_lightning.training.distributed import (
    ReplicaStrategy,
    average_gradients,
)
from gan_lightning.training.engine import Engine, Loss, Phase, Terms
from gan_lightning.training.memory import Networks
from gan_lightning.training.options import TrainingOptions, check_trainer_flags
from gan_lightning.training.player import Player, correct_for_lazy_steps
from gan_lightning.training.step import Rows, Step

OptimizerFactory = Callable[[list[nn.Parameter]], Optimizer]
ADAM: OptimizerFactory = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999), fused=True)  # Radford et al. 2015


class Game(Record):
    """Several players that are trained against each other or together.

    A game defines its `networks`, the parameters that each player updates (`moved_by`), and the `phases` of an
    iteration. In a game with duels, most of this follows from `duels`.

    options: training options, see TrainingOptions.
    averaged: names of the networks with a moving average of weights, `NAME_ema`.
    optimizer_factories: for each player a function from its parameters to an optimiser.
    intervals: iterations between two steps of a player; 1 if it is not named.
    starts: iterations before a player's first step (a warm-up of the others); 0 if it is not named.
    frozen: modules whose parameters and buffers never change.
    engine, averages: set at the start of a fit.
    """

    averaged: ClassVar[tuple[str, ...]] = ()
    options_of: ClassVar[type] = TrainingOptions  # type of `**options`, for checks
    engine: Engine

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.options = TrainingOptions(**options)
        self.optimizer_factories: dict[str, OptimizerFactory] = {}
        self.intervals: dict[str, int] = {}
        self.starts: dict[str, int] = {}
        self.frozen: list[nn.Module] = []
        self.averages: dict[str, ExponentialMovingAverage] = {}

    # What a game says of itself --------------------------------------------------------------------------------------

    def duels(self) -> list[Duel]:
        """Return the duels; none by default."""
        return []

    def judges(self) -> dict[str, str]:
        """Return the names of the duels' discriminators by their generators' names."""
        pairs = [(self.name_of(duel.generator), self.name_of(duel.discriminator)) for duel in self.duels()]
        return {made: judge for made, judge in pairs if made is not None and judge is not None}

    def moved_by(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that each player updates; by default those of its roles in the duels."""
        moved: dict[str, list[nn.Parameter]] = {}
        for role in ROLES:
            for duel in self.duels():
                moved.setdefault(duel.players[role], []).extend(movers(duel, role))
        return moved

    def phases(self) -> list[Phase]:
        """Return the phases of one iteration: discriminators first, since their fakes are used for both sides."""
        names = dict.fromkeys(duel.players[role] for role in reversed(ROLES) for duel in self.duels())
        return [*(self.turn(name) for name in names), *self.lazy_turns()]

    # Phases of duels -------------------------------------------------------------------------------------------------

    def turn(self, player: str, loss: DuelLoss | None = None) -> Phase:
        """Return the main phase of a player: its loss terms, the head's and the penalties, over its duels.

        loss: a function from a duel's DuelStep to terms (or an iterator of them); None: the duel's loss.
        """
        roles = self._roles(player)
        return Phase(
            player,
            {self.players[player]: self.each(player, loss)},
            self.intervals.get(player, 1),
            self.starts.get(player, 0),
            frozenset[str]().union(*[duel.differentiates(role) for duel, role in roles]),
            self._constraints(player),
            separable=all(duel.separable(role) for duel, role in roles),
        )

    def each(self, player: str, loss: DuelLoss | None = None) -> Loss:
        """Return the loss of a player over all duels in which it has a role; a game may add terms."""
        roles = self._roles(player)

        def total(step: Step) -> Iterator[Terms]:
            for duel, role in roles:
                yield from duel.terms(role, loss, step)

        return total

    def lazy_turns(self) -> list[Phase]:
        """Return a phase for each lazy penalty."""
        return [self._lazy(duel, name) for duel in self.duels() for name, p in duel.penalties().items() if p.every > 1]

    def _lazy(self, duel: Duel, name: str) -> Phase:
        penalty = duel.penalties()[name]
        player = duel.players[penalty.role]
        return Phase(
            duel.named(name),
            {self.players[player]: partial(duel.lazy_term, name)},
            penalty.every * self.intervals.get(player, 1),
            self.starts.get(player, 0),
            differentiates=duel.wishes([penalty]),
            constraints=self._constraints(player),
        )

    def _roles(self, player: str) -> list[tuple[Duel, Any]]:
        return [(duel, role) for duel in self.duels() for role in ROLES if duel.players[role] == player]

    def _constraints(self, player: str) -> list[Callable[[], None]]:
        return [constraint for duel, role in self._roles(player) for constraint in duel.constraints(role)]

    # Training --------------------------------------------------------------------------------------------------------

    def keep_averages(self) -> None:
        """Create the moving averages of the networks in `averaged`; call it at the end of a constructor."""
        for name in self.averaged:
            self.register_module(f"{name}_ema", frozen_copy(getattr(self, name)) if self.options.ema_kimg else None)

    def begin_with(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Load the tensors that fit; return sentences that say what was loaded and what was not.

        Everything else starts fresh: optimisers, counters, and the averages, which are copies of the networks.

        tensors: a state dict of a game, NETWORK.PARAMETER. Raises UserError if nothing fits.
        """
        prefixes = tuple(f"{name}." for name in self.networks())
        mine = {name: value for name, value in self.state_dict().items() if name.startswith(prefixes)}
        saved = {name: value for name, value in tensors.items() if name.startswith(prefixes)}
        taken = state.fitting(saved, mine)
        if not taken:
            raise UserError("init_from holds no tensor that fits a network of this model: leave it out.")
        self.load_state_dict(taken, strict=False)
        for name in self.averaged if self.options.ema_kimg else ():
            getattr(self, f"{name}_ema").load_state_dict(self.networks()[name].state_dict())
        return state.told(taken, saved, mine)

    def trained(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters that each player updates, without frozen ones."""
        frozen = {parameter for module in self.frozen for parameter in module.parameters()}
        return {player: [p for p in moved if p not in frozen] for player, moved in self.moved_by().items()}

    def _parameter_names(self) -> list[list[str]]:
        names = {parameter: name for name, parameter in self.named_parameters()}
        return [[names[parameter] for parameter in moved] for moved in self.trained().values()]

    def train(self, mode: bool = True) -> Game:
        """Set training mode; frozen modules stay in evaluation mode, so that their buffers do not change."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def configure_optimizers(self) -> list[Optimizer]:
        """Build the players and return their optimisers."""
        self.to(memory_format=self.options.memory_format)
        for module in [*self.networks().values(), *self.frozen]:
            module.requires_grad_(False)  # also what nobody moves: its gradients would only pile up
        for module in self.frozen:
            module.eval()
        for name, parameters in self.trained().items():
            self.players[name] = self._player(name, parameters)
        return [player.optimizer for player in self.players.values()]

    def _player(self, name: str, parameters: list[nn.Parameter]) -> Player:
        if not parameters:
            raise UserError(
                f"Player {name} has nothing to move, all of its parameters are frozen: freeze less, or leave it out of "
                "the game."
            )
        for parameter in parameters:
            parameter.requires_grad_(True)
        optimizer = self.optimizer_factories.get(name, ADAM)(parameters)
        penalties = [p for duel, role in self._roles(name) for p in duel.penalties(role).values()]
        correct_for_lazy_steps(optimizer, [p.every for p in penalties if p.every > 1])
        return Player(name, parameters, optimizer, self.options.schedule, self.options.beta2_schedule)

    def on_fit_start(self) -> None:
        """Set up the engine; UserError for Lightning's own DDP wrapper, which does not work here."""
        strategy = self.trainer.strategy
        if self.trainer.world_size > 1 and not isinstance(strategy, ReplicaStrategy):
            raise UserError(
                f"strategy {type(strategy).__name__} cannot train a GAN, whose players step one at a time: pass "
                "strategy=gan_lightning.ReplicaStrategy() to the Trainer (trainer=ddp on the command line)."
            )
        check_trainer_flags(self.trainer)
        self.check(self._datamodule, self.trainer.world_size)
        self._low_precision = torch.is_autocast_enabled(self.device.type) or "32" not in str(self.trainer.precision)
        self._networks, self.batch_fields = Networks(), getattr(self._datamodule, "fields", {})
        self.engine = self._engine()
        for name in self.averaged if self.options.ema_kimg else ():
            self.averages[name] = ExponentialMovingAverage(
                self.networks()[name],
                getattr(self, f"{name}_ema"),
                self.options.ema_kimg * 1000,  # type: ignore[operator]  # not None here
                self.options.ema_rampup,
            )

    def _engine(self) -> Engine:
        optimizers = dict(zip(self.players, self._lightning_optimizers(), strict=True))
        scaler: Any = getattr(self.trainer.precision_plugin, "scaler", None)

        def scaled_step(player: Player) -> None:
            """Step without updating the gradient scaler, which is updated once per phase, not after each optimiser."""
            optimizers[player.name]._on_before_step()
            scaler.step(player.optimizer)
            optimizers[player.name]._on_after_step()

        return Engine(
            self.phases(),
            scalars=self.scalars,
            accumulate=self.options.accumulate,
            clip_norm=self.options.clip_norm,
            backward=self._backward,
            optimizer_step=(lambda player: optimizers[player.name].step()) if scaler is None else scaled_step,
            after_steps=None if scaler is None else scaler.update,
            reduce_gradients=average_gradients if self.trainer.world_size > 1 else None,
            unscale=None if scaler is None else scaler.unscale_,
        )

    def on_train_start(self) -> None:
        """Compute the length of the run for schedules, since the number of batches is known now."""
        self._total_images = self._length_in_images()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Run one iteration on a batch of fields, such as `image` uint8 `(N, C, H, W)` and `label` `(N,)`."""
        world, rank = self.trainer.world_size, self.trainer.global_rank
        size = len(next(iter(batch.values())))
        images = size * world
        reseed_layers(key(self.options.seed, self.iteration, "layers", rank), self.device)
        measure = (self.iteration + 1) % self.options.log_every == 0
        progress = self.images_seen / self._total_images
        self._follow_schedules(progress)
        for augment in self._augments().values():
            augment.begin(self.images_seen, self._total_images)
        step = Step(
            self.ready(batch),
            seed=self.options.seed,
            iteration=self.iteration,
            rows=Rows(rank * size, rank * size + size, images),
            low_precision=self._low_precision,
            epoch=self.epoch[0],
            progress=progress,
            scalars=self.scalars,
            networks=self._networks,
        )
        self.engine.run(step, measure)
        for average in self.averages.values():
            average.update(images, self.images_seen)
        for prefix, augment in self._augments().items():
            augment.finish(self.iteration, images)
            for name, value in augment.scalars().items():
                self.scalars.add(f"{prefix}{name}", value)
        self.iteration += 1
        self.images_seen += images
        if measure:
            self.flush()

    def ready(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return this process's rows of a batch, converted for networks, with the source that the task makes."""
        batch = prepare(batch, self.batch_fields, self.options.memory_format)
        if self.task is None:
            return batch
        size, rank = len(batch["image"]), self.trainer.global_rank
        rows = training_rows(self.options.seed, self.iteration, rank * size, size, self.device)
        return degrade(batch, self.task, rows)

    def _augments(self) -> dict[str, Any]:
        return {duel.named(""): duel.augment for duel in self.duels() if duel.augment is not None}

    def _follow_schedules(self, progress: float) -> None:
        for player in self.players.values():
            player.set_progress(progress)
        options = self.options
        if options.ema_schedule is not None and options.ema_kimg:
            for average in self.averages.values():
                average.half_life = 1000 * options.ema_kimg * options.ema_schedule(progress)

    def check(self, data: Any = None, processes: int = 1) -> None:
        """Raise UserError if parts of the game cannot work together, or cannot work on `data` if it is given.

        data: a data module with `name`, `image_shape`, `num_classes`, `batch_size`; each may be missing.
        """
        if data is not None:
            check_source(self, data, self.task)
        pieces, size = self.options.accumulate, getattr(data, "batch_size", None)
        check_duels(self.duels(), set(self.modules()))
        for duel in self.duels():
            duel.check(data, processes * pieces)
        if isinstance(size, int):
            check_pieces(size, processes, pieces)

    @property
    def _datamodule(self) -> Any:
        return getattr(self.trainer, "datamodule", None)

    def _length_in_images(self) -> float:
        """Return the number of images of the whole run, for schedules."""
        epochs, batches = self.trainer.max_epochs or -1, self.trainer.num_training_batches
        batch_size = getattr(self._datamodule, "batch_size", 0)
        lengths = [self.max_kimg * 1000] if self.max_kimg else []
        done = self.trainer.current_epoch  # another than ours where only weights and counters were taken over
        left = (epochs - done) * batches - (self.epoch[1] if done == self.epoch[0] else 0)
        lengths += [self.images_seen + left * batch_size] if epochs > 0 and batch_size else []
        penalties = [penalty.schedule for duel in self.duels() for penalty in duel.penalties().values()]
        options = self.options
        schedules = [options.schedule, options.beta2_schedule, options.ema_schedule, *penalties]
        if not lengths and any(schedule is not None for schedule in schedules):
            raise UserError("A schedule needs the run's length: set max_kimg or max_epochs.")
        return min(lengths, default=float("inf"))

    def _lightning_optimizers(self) -> Sequence[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _backward(self, loss: Tensor, **options: Any) -> None:
        """Run backward outside autocast, as PyTorch recommends."""
        if self._low_precision:
            with torch.autocast(self.device.type, enabled=False):
                self.manual_backward(loss, **options)
        else:
            self.manual_backward(loss, **options)
