"""Values of one iteration: each is computed once, and dropped when a network that it depends on is updated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

Parameters = frozenset[int]
"""Parameters by their ids, such as those that a phase moves."""


def identities(parameters: Iterable[nn.Parameter]) -> Parameters:
    """Return the ids of `parameters`."""
    return frozenset(map(id, parameters))


class Networks:
    """Caches the parameters of networks from step to step, since listing them costs as much as a small layer."""

    def __init__(self) -> None:
        self._own: dict[Any, Parameters] = {}
        self._having: dict[Parameters, frozenset[Any]] = {}
        self._compiled: dict[Any, bool] = {}

    def know(self, network: Any) -> None:
        """Look up the parameters of `network`, once; a plain function has none."""
        if network not in self._own:
            self._own[network] = identities(network.parameters() if isinstance(network, nn.Module) else ())
            self._having.clear()

    def having(self, parameters: Parameters) -> frozenset[Any]:
        """Return the known networks that have any of `parameters`."""
        if parameters not in self._having:
            found = (network for network, own in self._own.items() if not own.isdisjoint(parameters))
            self._having[parameters] = frozenset(found)
        return self._having[parameters]

    def compiled(self, network: Any) -> bool:
        """Return whether `network`, or a part of it, was compiled in place."""
        if network not in self._compiled:
            parts = network.modules() if isinstance(network, nn.Module) else ()
            self._compiled[network] = any(getattr(part, "_compiled_call_impl", None) is not None for part in parts)
        return self._compiled[network]


@dataclass(frozen=True, eq=False)
class Made:
    """A value and its dependencies.

    networks: networks that were run for it, directly or through other values.
    live: those networks whose parameters are in its graph.
    turn: the only turn in which it is valid, None for the whole iteration.
    parts: other values whose graphs are part of its graph.
    """

    value: Any
    networks: frozenset[Any]
    live: frozenset[Any]
    turn: int | None
    parts: frozenset[Made] = frozenset()


@dataclass
class Record:
    """The dependencies recorded while a value is computed."""

    networks: set[Any] = field(default_factory=set)
    turn: int | None = None
    parts: set[Made] = field(default_factory=set)


class Memory:
    """Computes values on demand and stores them by name.

    The networks that a value depends on are recorded while it is computed: by `ran`, and when other values are read. A
    value is reused while none of these networks has been updated and its graph contains exactly those that are updated
    in this turn. So no reader gets a graph without gradients that it needs, or with gradients that are not needed.

    networks: caches the parameters of networks.
    """

    def __init__(self, networks: Networks | None = None) -> None:
        self.networks = networks or Networks()
        self.movers: Parameters = frozenset()
        self.turn = 0
        self._kept: dict[str, list[Made]] = {}
        self._bound_to_turn = False
        self._records: list[Record] = []
        self._whole: Memory | None = None
        self._left_out: frozenset[Any] = frozenset()

    def begin(self, movers: Parameters) -> None:
        """Begin a turn in which `movers` are updated; drop values that were valid only in the previous turn."""
        self.movers, self.turn = movers, self.turn + 1
        if self._bound_to_turn:
            self._forget(lambda made: made.turn is not None)
            self._bound_to_turn = False

    def ran(self, network: Any) -> None:
        """Record that `network` is run for the value that is being computed, if any."""
        self.networks.know(network)
        if self._records:
            self._records[-1].networks.add(network)

    def get(self, name: str, make: Callable[[], Any], this_turn: bool = False) -> Any:
        """Return the value called `name`; compute it by `make` if it is not stored.

        `make` must read the values it uses itself: what was read before the call is not recorded.

        this_turn: the value, and all that depends on it, is valid only in this turn, such as augmented images.
        """
        found = self._find(name)
        if found is None:
            found = self._keep(name, self._make(make, this_turn))
        self._read(found)
        return found.value

    def ahead(self, name: str, make: Callable[[], Any], coming: Iterable[nn.Parameter], later: Parameters) -> Any:
        """Return a tensor for this turn; if it depends only on networks of later turns, compute it with their graph.

        So one forward is used in this turn, detached, and in the later turn, with its graph.

        coming: the parameters that later turns of this iteration update. later: their ids.
        """
        found = self._find(name) or self._cut(name, self._find_ahead(name, later))
        if found is None:
            with trainable(coming), self._also_moving(later):
                made = self._make(make, False)
            found = self._cut(name, made)
            if found is not None:
                self._keep(name, made)
            else:
                found = self._keep(name, replace(made, live=self._moving(made.networks)))
        self._read(found)
        return found.value

    def spent(self) -> None:
        """Drop the values whose graphs a backward of this turn has freed, and all values that share a part of these."""
        used: set[Made] = set()
        now = self.networks.having(self.movers)
        for several in self._kept.values():
            for made in several:
                if not made.live.isdisjoint(now):
                    used |= {made, *made.parts}
        if used:
            self._forget(lambda made: made in used or not used.isdisjoint(made.parts))

    def moved(self, parameters: Parameters) -> None:
        """Drop the values that depend on networks with any of `parameters`, which have just changed.

        Raises RuntimeError while a value is computed, since it would mix parameters from before and after the update.
        """
        if self._records:
            raise RuntimeError("A network moved while a value was made with it: make all values before any step.")
        changed = self.networks.having(parameters)
        self._forget(lambda made: not made.networks.isdisjoint(changed))

    def without(self, networks: Iterable[Any]) -> Memory:
        """Return a memory that computes its own values of `networks` and shares all other values with this one."""
        other = Memory(self.networks)
        other.movers, other.turn, other._records = self.movers, self.turn, self._records
        other._whole, other._left_out = self, frozenset(networks)
        return other

    def _find(self, name: str) -> Made | None:
        now = self.networks.having(self.movers)
        for made in self._known(name):
            if made.networks & now == made.live:
                return made
        return None

    def _known(self, name: str) -> Sequence[Made]:
        """Return the values of that name, also those that are common to this memory and the one it was made of."""
        kept = self._kept.get(name, [])
        if self._whole is None:
            return kept
        return [*kept, *(made for made in self._whole._known(name) if self._left_out.isdisjoint(made.networks))]

    def _find_ahead(self, name: str, later: Parameters) -> Made | None:
        """Return the value that was computed for a later turn, if there is one."""
        with self._also_moving(later):
            return self._find(name)

    def _cut(self, name: str, made: Made | None) -> Made | None:
        """Store a detached copy if the graph contains only networks that are not updated now; else return None."""
        if made is None or not made.live or self._moving(made.live):
            return None
        return self._keep(name, Made(made.value.detach(), made.networks, frozenset(), made.turn))

    def _moving(self, networks: frozenset[Any]) -> frozenset[Any]:
        """Return those of `networks` that are updated now."""
        return networks & self.networks.having(self.movers)

    def _make(self, make: Callable[[], Any], this_turn: bool) -> Made:
        record = Record(turn=self.turn if this_turn else None)
        self._records.append(record)
        try:
            value = make()
        finally:
            self._records.pop()
        networks = frozenset(record.networks)
        return Made(value, networks, self._moving(networks), record.turn, frozenset(record.parts))

    def _keep(self, name: str, made: Made) -> Made:
        if self._whole is not None and self._left_out.isdisjoint(made.networks):
            return self._whole._keep(name, made)
        self._kept.setdefault(name, []).insert(0, made)
        self._bound_to_turn |= made.turn is not None
        return made

    def _read(self, made: Made) -> None:
        """Add the dependencies of `made` to the value that is being computed."""
        if self._records:
            record = self._records[-1]
            record.networks |= made.networks
            record.turn = record.turn if made.turn is None else made.turn
            if made.live:
                record.parts |= {made, *made.parts}

    def _forget(self, condition: Callable[[Made], bool]) -> None:
        for name, several in list(self._kept.items()):
            if any(map(condition, several)):
                self._kept[name] = [made for made in several if not condition(made)]

    @contextmanager
    def _also_moving(self, parameters: Parameters) -> Iterator[None]:
        movers, self.movers = self.movers, self.movers | parameters
        try:
            yield
        finally:
            self.movers = movers


@contextmanager
def trainable(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Let frozen parameters require gradients inside the context."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
