"""One iteration: its batch, its random numbers, the method that runs networks, and a memory of their outputs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
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
    """The rows [start, stop) of the global batch of `total` rows."""

    start: int
    stop: int
    total: int


@dataclass(frozen=True)
class Turn:
    """One turn: a phase of the iteration that is running.

    name: name of the turn, part of the key of random numbers that differ between turns.
    movers: the parameters that are updated.
    coming: the parameters that later turns of this iteration update, in order. later: their ids.
    differentiates: inputs for which penalties need gradients of the shared logits.
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
    """The batch of one iteration and the values computed from it. It depends on no game.

    batch: fields by name, this process's rows; images are float in [-1, 1].
    seed, iteration: keys of all random numbers. rows: which rows of the global batch these are, None for all.
    low_precision: forwards run under autocast, so that a double backward needs a separate float32 forward.
    epoch: finished passes over the data. progress: share of the run's images already seen (0 to 1).
    scalars: collects the values to log.
    networks: caches the parameters of networks from step to step.
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
        self._stand_ins: dict[nn.Module, Copies] = {}
        self._stood_in: Parameters = frozenset()

    # Turns -----------------------------------------------------------------------------------------------------------

    def begin(self, turn: Turn) -> None:
        """Begin a turn."""
        self.turn = turn
        self.memory.begin(turn.movers)

    def split(self, parts: int) -> list[Step]:
        """Return the step in `parts` equal pieces, for gradient accumulation; each draws the numbers of its rows."""
        if parts == 1:
            return [self]
        return [self._piece(part * self.size // parts, (part + 1) * self.size // parts) for part in range(parts)]

    def standing_in(self, copies: Mapping[nn.Module, Copies]) -> Step:
        """Return this step with `copies` instead of networks' parameters; the parameters do not change.

        Both steps share the values that do not depend on these networks. A forward with copies supports a double
        backward. Buffers are copied too. They start with the live values; copies of copies continue from the copies'
        buffers. So batch norm's statistics and spectral norm's vectors change as in real steps, and the live ones do
        not change.

        Raises UserError for a copy of a parameter that its network does not have.
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

    # Networks and their outputs --------------------------------------------------------------------------------------

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
        """Run a network. All networks must be run by this method, so that the memory records the dependency.

        labels, condition: passed to the network unless None, so that unconditional networks need no such argument.
        exact: run in float32 and not compiled, as a double backward needs it.
        method: name of the network's method to run.

        Raises UserError if copies stand in for only a part of the modules that would run.
        """
        self.memory.ran(network)
        given = inputs if labels is None else (*inputs, labels)
        if condition is not None:
            options["condition"] = condition
        copies = self._stand_ins.get(network)
        if copies is None and self._stood_in and network in self.memory.networks.having(self._stood_in):
            raise UserError(
                f"{type(network).__name__} shares parameters with a network for which copies stand in, and would run "
                "with the live ones: run it as a method of that network."
            )
        if not exact and copies is None:
            return (network if method == "forward" else getattr(network, method))(*given, **options)
        with self._exactly(network):
            floats = tuple(map(_single, given))
            options = {name: _single(value) for name, value in options.items()}
            if copies is None:
                return getattr(network, method, network)(*floats, **options)
            named = {f"network.{name}": value for name, value in copies.items()}
            return torch.func.functional_call(_Method(network, method), named, floats, options)

    def is_exact(self, network: Any) -> bool:
        """Return whether also a plain forward of `network` is fit for a double backward."""
        return not self.low_precision and not self.memory.networks.compiled(network)

    @contextmanager
    def _exactly(self, network: Any) -> Iterator[None]:
        """Run `network` in single precision at least, and past any compiler, which knows no double backward."""
        with torch.autocast(self.device.type, enabled=False):
            if not self.memory.networks.compiled(network):
                yield
            else:
                with torch.compiler.set_stance("force_eager"):
                    yield

    def value(self, name: str, make: Callable[[], T], this_turn: bool = False) -> T:
        """Return the value called `name`, computed once; see Memory."""
        return self.memory.get(name, make, this_turn)

    def value_ahead(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """Return a tensor that a later turn may need with its graph, computed once for both; see Memory.ahead."""
        return self.memory.ahead(name, make, self.turn.coming, self.turn.later)

    def watch(self, name: str, value: Tensor) -> None:
        """Log a 0-d value; it stays on its device."""
        self.scalars.add(name, value)

    # Random numbers --------------------------------------------------------------------------------------------------

    def random(self, purpose: str) -> torch.Generator:
        """Return the random stream of this iteration for `purpose`, at its start, on the batch's device."""
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
        """Return a source of this process's random numbers for purposes whose names begin with `prefix`."""
        return PrefixedDraw(self, prefix)

    def average(self, value: Tensor) -> Tensor:
        """Return the mean of `value` over all processes, detached; for running statistics."""
        value = value.detach()
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        return mean_over_processes(value.clone()) if distributed else value

    # -----------------------------------------------------------------------------------------------------------------

    def _piece(self, low: int, high: int) -> Step:
        """Return the rows [low, high) of the step, with a new memory."""
        piece = self._twin(Memory(self.memory.networks))
        piece.batch = {name: values[low:high] for name, values in self.batch.items()}
        piece.size = high - low
        piece.rows = Rows(self.rows.start + low, self.rows.start + high, self.rows.total)
        piece.memory.begin(self.turn.movers)
        return piece

    def _twin(self, memory: Memory) -> Step:
        twin = copy.copy(self)
        twin.memory = memory
        return twin


class _Method(nn.Module):
    """A network's method as a module, so that `functional_call` can replace its parameters."""

    def __init__(self, network: nn.Module, method: str) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *inputs: Any, **options: Any) -> Any:
        return getattr(self.network, self.method)(*inputs, **options)


def _single(value: Any) -> Any:
    """Return float tensors with at least single precision, and anything else unchanged."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return value.to(torch.promote_types(value.dtype, torch.float32))


def joined(parameters: Iterable[nn.Parameter]) -> tuple[nn.Parameter, ...]:
    """Return each parameter once, in order of first appearance."""
    return tuple(dict.fromkeys(parameters))
