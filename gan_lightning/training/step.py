"""One iteration: its batch, its random numbers, the one door to every network, and a memory of what they said."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.streams import generator as random_stream
from gan_lightning.training.distributed import mean_over_processes
from gan_lightning.training.memory import Memory, Networks, Parameters, identities
from gan_lightning.training.scalars import Scalars

T = TypeVar("T")
Copies = Mapping[str, Tensor]
"""Tensors by parameter name, to stand in for a network's parameters."""


@dataclass(frozen=True)
class Rows:
    """Which rows [start, stop) of the global batch of `total` these are."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True)
class Turn:
    """Whose turn it is.

    name: of the turn, part of the key of the random numbers that are its alone.
    movers: the parameters that move.
    coming: those that later turns of this iteration move, in order; `later`: the same as the memory knows them.
    differentiates: inputs whose gradients its penalties want out of the shared forward.
    """

    name: str = ""
    movers: Parameters = frozenset()
    coming: tuple[nn.Parameter, ...] = ()
    later: Parameters = frozenset()
    differentiates: frozenset[str] = frozenset()


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
    """The batch of one iteration, and what is computed of it. It knows no game: networks are run when asked for.

    batch: fields by name, their rows those of this process; images float in [-1, 1].
    seed, iteration: key all random numbers; rows: which of the global batch's these are, None for all.
    low_precision: forwards run under autocast, so a double backward needs a float32 pass of its own.
    epoch: passes over the data that are done; progress: share of the run's images already seen (0 to 1).
    scalars: where values to log go.
    networks: knows whose parameters are whose, kept from step to step.
    """

    def __init__(
        self,
        batch: dict[str, Tensor],
        *,
        seed: int = 0,
        iteration: int = 0,
        rows: Rows | None = None,
        low_precision: bool = False,
        epoch: int = 0,
        progress: float = 0.0,
        scalars: Scalars | None = None,
        networks: Networks | None = None,
    ) -> None:
        first = next(iter(batch.values()))
        self.batch, self.size, self.device = batch, len(first), first.device
        self.seed, self.iteration = seed, iteration
        self.rows = rows or Rows(0, self.size, self.size)
        self.low_precision, self.epoch, self.progress = low_precision, epoch, progress
        self.scalars = scalars or Scalars()
        self.memory = Memory(networks)
        self.turn = Turn()
        self._views: dict[Any, Any] = {}
        self._stand_ins: dict[nn.Module, Copies] = {}
        self._stood_in: Parameters = frozenset()

    # Turns -----------------------------------------------------------------------------------------------------------

    def begin(self, turn: Turn) -> None:
        """Begin a turn."""
        self.turn = turn
        self.memory.begin(turn.movers)

    def split(self, parts: int) -> list[Step]:
        """Return the step in `parts` equal pieces, for gradient accumulation; each draws its own rows' numbers."""
        if parts == 1:
            return [self]
        return [self._piece(part * self.size // parts, (part + 1) * self.size // parts) for part in range(parts)]

    def standing_in(self, copies: Mapping[nn.Module, Copies]) -> Step:
        """Return this step with `copies` in the place of networks' parameters, which stay as they are.

        What is made without these networks is common to both steps. A forward with copies is fit for a double backward.
        Buffers stand in, too: they begin as the live ones are, and where copies follow on copies they go on from there;
        so batch norm's statistics and spectral norm's vectors move as in real steps, and the live ones rest.

        Raises UserError for a copy of what its network does not have.
        """
        other = self._twin(self.memory.without(copies))
        other._stand_ins = {
            **self._stand_ins,
            **{network: self._complete(network, copies[network]) for network in copies},
        }
        other._stood_in = identities(parameter for network in other._stand_ins for parameter in network.parameters())
        return other

    def _complete(self, network: nn.Module, copies: Copies) -> Copies:
        """Return `copies` with buffers beside them."""
        before = self._stand_ins.get(network, {})
        buffers = {name: before.get(name, buffer.detach().clone()) for name, buffer in network.named_buffers()}
        there = {name for name, _ in network.named_parameters(remove_duplicate=False)}
        if unknown := sorted(copies.keys() - there - buffers.keys()):
            raise UserError(f"{unknown[0]} cannot stand in: {type(network).__name__} has no parameter of that name.")
        return {**buffers, **copies}

    def view(self, of: Any, make: Callable[[Step], T]) -> T:
        """Return `make(self)`, made once for each `of`: how one duel, say, sees the step."""
        if of not in self._views:
            self._views[of] = make(self)
        return self._views[of]

    # Networks and what they say --------------------------------------------------------------------------------------

    def run(
        self,
        network: Any,
        *inputs: Tensor,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
        exact: bool = False,
        method: str = "forward",
        **options: Any,
    ) -> Any:
        """Run a network: the only way to any, so that the memory knows what came from it.

        labels, condition: given to the network unless None: one that has no classes need not take them.
        exact: fit for a double backward, so in float32 and not compiled.
        method: of the network, where it is not the whole that runs.

        Raises UserError where copies stand in for a part of what would run.
        """
        self.memory.ran(network)
        given = inputs if labels is None else (*inputs, labels)
        if condition is not None:
            options["condition"] = condition
        copies = self._stand_ins.get(network)
        if copies is None and self._stood_in and self.memory.networks.has(network, self._stood_in):
            raise UserError(
                f"{type(network).__name__} shares parameters with a network for which copies stand in, and would run "
                "with the live ones: run it as a method of that network."
            )
        if not exact and copies is None:
            return (network if method == "forward" else getattr(network, method))(*given, **options)
        with torch.autocast(self.device.type, enabled=False):
            floats = tuple(map(_single, given))
            options = {name: _single(value) for name, value in options.items()}
            if copies is None:
                return getattr(network, method, network)(*floats, **options)  # a forward's own, past any compiler
            named = {f"network.{name}": value for name, value in copies.items()}
            return torch.func.functional_call(_Uncompiled(network, method), named, floats, options)

    def value(self, name: str, make: Callable[[], T], this_turn: bool = False) -> T:
        """Return the value called `name`, made once; see Memory."""
        return self.memory.get(name, make, this_turn)

    def value_ahead(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return a tensor that a later turn may need with its graph, made once for both; see Memory.ahead."""
        return self.memory.ahead(name, make, self.turn.coming, self.turn.later)

    def watch(self, name: str, value: Tensor) -> None:
        """Log a 0-d value; it stays on its device."""
        self.scalars.add(name, value)

    # Random numbers --------------------------------------------------------------------------------------------------

    def random(self, purpose: str) -> torch.Generator:
        """Return the stream of this iteration for `purpose`, on the batch's device, at its start."""
        return random_stream(self.seed, self.iteration, purpose, device=self.device)

    def draw(self, purpose: str, draw: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Return this process's rows of `draw(global batch size, stream)`."""
        return draw(self.rows.total, self.random(purpose))[self.rows.start : self.rows.stop]

    def uniform(self, purpose: str, *shape: int) -> Tensor:
        """Return U[0, 1) numbers `(N, *shape)`."""
        return self.draw(purpose, lambda n, stream: torch.rand(n, *shape, generator=stream, device=self.device))

    def normal(self, purpose: str, *shape: int) -> Tensor:
        """Return N(0, 1) numbers `(N, *shape)`."""
        return self.draw(purpose, lambda n, stream: torch.randn(n, *shape, generator=stream, device=self.device))

    def numbers(self, prefix: str) -> PrefixedDraw:
        """Return a source of this process's random numbers, for purposes whose names begin with `prefix`."""
        return PrefixedDraw(self, prefix)

    def average(self, value: Tensor) -> Tensor:
        """Return the mean of `value` over all processes, cut off from its graph: for running statistics."""
        value = value.detach()
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return mean_over_processes(value.clone()) if distributed else value

    # -----------------------------------------------------------------------------------------------------------------

    def _piece(self, low: int, high: int) -> Step:
        """Return rows [low, high) of the step, with a memory of their own."""
        piece = self._twin(Memory(self.memory.networks))
        piece.batch = {name: values[low:high] for name, values in self.batch.items()}
        piece.size = high - low
        piece.rows = Rows(self.rows.start + low, self.rows.start + high, self.rows.total)
        piece.memory.begin(self.turn.movers)
        return piece

    def _twin(self, memory: Memory) -> Step:
        twin = copy.copy(self)
        twin.memory, twin._views = memory, {}
        return twin


class _Uncompiled(nn.Module):
    """A network's method as a module of its own, through which copies can stand in for its parameters."""

    def __init__(self, network: nn.Module, method: str) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return getattr(self.network, self.method)(*inputs, **options)


def _single(value: Any) -> Any:
    """Return a tensor of floats in single precision at least, and anything else as it is."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return value.to(torch.promote_types(value.dtype, torch.float32))


def joined(parameters: Iterable[nn.Parameter]) -> tuple[nn.Parameter, ...]:
    """Return each parameter once, in order of first appearance."""
    return tuple(dict.fromkeys(parameters))
