"""Training scalars are summed on the device and fetched together, so that no step waits for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class Scalars:
    """Running means by name."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, value: Tensor) -> None:
        """Add one 0-d value; it stays on its device."""
        value = value.detach()
        if name in self._sums:
            self._sums[name] += value
            self._counts[name] += 1
        else:
            self._sums[name] = value.float().clone()
            self._counts[name] = 1

    def flush(self, reduce: Callable[[Tensor], Tensor] | None = None) -> dict[str, float]:
        """Return the means since the last flush and reset: one transfer, and one mean over processes."""
        if not self._sums:
            return {}
        means = torch.stack([total / self._counts[name] for name, total in self._sums.items()])
        means = reduce(means) if reduce else means
        names, self._sums, self._counts = list(self._sums), {}, {}
        return dict(zip(names, means.tolist(), strict=True))
