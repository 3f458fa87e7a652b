"""Schedules: factors as functions of progress, the share of the run's images already seen."""

from __future__ import annotations

import math

from gan_lightning.errors import UserError, check_range


class LinearDecay:
    """1 until `start`, then linear to `final` at the end of the run.

    start: share of the run (0 to 1) after which the decay begins.
    final: factor at the end.
    """

    def __init__(self, start: float = 0.0, final: float = 0.0) -> None:
        if not 0 <= start < 1:
            raise UserError(
                f"schedule.start={start} is out of range: the decay starts at a share of the run in [0, 1)."
            )
        check_range("schedule", 0, final=final)
        self.start, self.final = start, final

    def __call__(self, progress: float) -> float:
        """Return the factor at `progress`."""
        share = min(max((progress - self.start) / (1 - self.start), 0.0), 1.0)
        return 1 + (self.final - 1) * share


class Cosine:
    """Half a cosine from `start` to `final` over the run. Loshchilov and Hutter 2016, arXiv 1608.03983.

    final: factor at the end.
    start: factor at the beginning.
    until: share of the run (0 to 1) after which the factor stays `final`.
    """

    def __init__(self, final: float = 0.0, start: float = 1.0, until: float = 1.0) -> None:
        if not 0 < until <= 1:
            raise UserError(f"schedule.until={until} is out of range: it is a share of the run in (0, 1].")
        check_range("schedule", 0, start=start, final=final)
        self.final, self.start, self.until = final, start, until

    def __call__(self, progress: float) -> float:
        """Return the factor at `progress`."""
        left = (1 + math.cos(math.pi * min(progress / self.until, 1.0))) / 2
        return self.final + (self.start - self.final) * left
