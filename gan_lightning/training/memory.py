"""Values of one iteration, each made once and forgotten when a network that it came from moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

Parameters = frozenset[int]
"""Parameters by their ids, such as those that a phase moves."""


def identities(parameters: Iterable[nn.Parameter]) -> Parameters:
    """Return the set of `parameters` as the memory knows them."""
    return frozenset(map(id, parameters))


class Networks:
    """Knows whose parameters are whose; kept from step to step, for asking a network costs as much as a small layer."""

    def __init__(self) -> None:
        self._own: dict[Any, Parameters] = {}
        self._answers: dict[tuple[Any, Parameters], bool] = {}

    def has(self, network: Any, parameters: Parameters) -> bool:
        """Return whether `network` has any of `parameters`; a plain function has none."""
        question = network, parameters
        if question not in self._answers:
            self._answers[question] = not parameters.isdisjoint(self._parameters(network))
        return self._answers[question]

    def _parameters(self, network: Any) -> Parameters:
        if network not in self._own:
            self._own[network] = identities(network.parameters() if isinstance(network, nn.Module) else ())
        return self._own[network]


@dataclass(frozen=True, eq=False)
class Made:
    """A value, and what it came from.

    networks: that were run for it, directly or through other values.
    live: those of them whose parameters its graph reaches.
    turn: the only turn in which it counts, None for all of the iteration.
    parts: other values that it was made of, whose graphs are in its own.
    """

    value: Any
    networks: frozenset[Any]
    live: frozenset[Any]
    turn: int | None
    parts: tuple[Made, ...] = ()

    def with_parts(self) -> set[Made]:
        """Return the value and all that it was made of."""
        return {self}.union(*[part.with_parts() for part in self.parts])


@dataclass
class Record:
    """What was seen while a value was being made."""

    networks: set[Any] = field(default_factory=set)
    turn: int | None = None
    parts: list[Made] = field(default_factory=list)


class Memory:
    """Makes values on demand and keeps them by name.

    Which networks a value hangs on is recorded while it is made, by `ran`, and by reading other values. It serves again
    as long as none of these has moved and its graph reaches just those that move now: nobody gets a graph through
    frozen parameters where gradients are wanted, or one whose gradients nobody wants.

    networks: knows whose parameters are whose.
    """

    def __init__(self, networks: Networks | None = None) -> None:
        self.networks = networks or Networks()
        self.movers: Parameters = frozenset()
        self.turn = 0
        self._kept: dict[str, list[Made]] = {}
        self._records: list[Record] = []
        self._whole: Memory | None = None
        self._left_out: frozenset[Any] = frozenset()

    def begin(self, movers: Parameters) -> None:
        """Begin a turn in which `movers` move; forget what counted in the last one alone."""
        self.movers, self.turn = movers, self.turn + 1
        self._forget(lambda made: made.turn is not None)

    def ran(self, network: Any) -> None:
        """Note that `network` runs for the value that is being made, if one is."""
        if self._records:
            self._records[-1].networks.add(network)

    def get(self, name: str, make: Callable[[], Any], this_turn: bool = False) -> Any:
        """Return the value called `name`, made by `make` where it is not there.

        this_turn: what is made differs from turn to turn, as augmented images do; so does all that comes of it.
        """
        found = self._find(name)
        if found is None:
            found = self._keep(name, self._make(make, this_turn))
        self._read(found)
        return found.value

    def ahead(self, name: str, make: Callable[[], Any], coming: Iterable[nn.Parameter], later: Parameters) -> Any:
        """Return a tensor for this turn; where it hangs only on networks that move later, make their graph with it.

        So one forward serves this turn, which gets it without a graph, and the later one.

        coming: the parameters that later turns of this iteration move; `later`: the same as the memory knows them.
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
        """Forget the values whose graphs reach what moves now: a backward used them up, and all that shares a part."""
        everything = [made for several in self._kept.values() for made in several]
        used = set[Made]().union(*[made.with_parts() for made in everything if self._moving(made.live)])
        self._forget(lambda made: not used.isdisjoint(made.with_parts()))

    def moved(self, parameters: Parameters) -> None:
        """Forget what came from networks with any of `parameters`, which have just changed.

        Raises RuntimeError while a value is being made: it would be of networks before and after the move.
        """
        if self._records:
            raise RuntimeError("A network moved while a value was made with it: make all values before any step.")
        self._forget(lambda made: any(self.networks.has(network, parameters) for network in made.networks))

    def without(self, networks: Iterable[Any]) -> Memory:
        """Return a memory with values of its own of `networks`; what does not come from these is common to both."""
        other = Memory(self.networks)
        other.movers, other.turn, other._records = self.movers, self.turn, self._records
        other._whole, other._left_out = self, frozenset(networks)
        return other

    def _find(self, name: str) -> Made | None:
        return next((made for made in self._known(name) if self._serves(made)), None)

    def _known(self, name: str) -> Iterator[Made]:
        """Yield the values of that name, also those that are common to this memory and the one it was made of."""
        yield from self._kept.get(name, ())
        if self._whole is not None:
            yield from (made for made in self._whole._known(name) if self._left_out.isdisjoint(made.networks))

    def _find_ahead(self, name: str, later: Parameters) -> Made | None:
        """Return the value that waits for a later turn, if there is one."""
        with self._also_moving(later):
            return self._find(name)

    def _cut(self, name: str, made: Made | None) -> Made | None:
        """Keep a value without its graph, where that reaches only networks that do not move now; else return None."""
        if made is None or not made.live or self._moving(made.live):
            return None
        return self._keep(name, Made(made.value.detach(), made.networks, frozenset(), made.turn))

    def _serves(self, made: Made) -> bool:
        return self._moving(made.networks) == made.live

    def _moving(self, networks: Iterable[Any]) -> frozenset[Any]:
        """Return those of `networks` that move now."""
        return frozenset(network for network in networks if self.networks.has(network, self.movers))

    def _make(self, make: Callable[[], Any], this_turn: bool) -> Made:
        record = Record(turn=self.turn if this_turn else None)
        self._records.append(record)
        try:
            value = make()
        finally:
            self._records.pop()
        return Made(value, frozenset(record.networks), self._moving(record.networks), record.turn, tuple(record.parts))

    def _keep(self, name: str, made: Made) -> Made:
        if self._whole is not None and self._left_out.isdisjoint(made.networks):
            return self._whole._keep(name, made)
        self._kept.setdefault(name, []).insert(0, made)
        return made

    def _read(self, made: Made) -> None:
        """Let the value that is being made hang on all that `made` hangs on."""
        if self._records:
            self._records[-1].networks |= made.networks
            self._records[-1].turn = self._records[-1].turn if made.turn is None else made.turn
            self._records[-1].parts += [made] if made.live else []

    def _forget(self, condition: Callable[[Made], bool]) -> None:
        kept = {name: [made for made in several if not condition(made)] for name, several in self._kept.items()}
        self._kept = {name: several for name, several in kept.items() if several}

    @contextmanager
    def _also_moving(self, parameters: Parameters) -> Iterator[None]:
        movers, self.movers = self.movers, self.movers | parameters
        try:
            yield
        finally:
            self.movers = movers


@contextmanager
def trainable(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Let frozen parameters record a graph for a moment."""
    frozen = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
