"""Decides when something is due again: by images or by seconds."""

from __future__ import annotations

import time


class EveryKimg:
    """Due once for each `kimg` thousand images seen; a resumed run is due at the same numbers. None: never."""

    def __init__(self, kimg: float | None) -> None:
        self.images = None if kimg is None else max(1, round(kimg * 1000))
        self._mark = 0

    def start(self, images_seen: int) -> None:
        """Start to count from `images_seen`."""
        self._mark = images_seen // self.images if self.images else 0

    def due(self, images_seen: int) -> bool:
        """Return True if a multiple of `kimg` was passed since the last call, or since the start."""
        if self.images is None:
            return False
        before, self._mark = self._mark, images_seen // self.images
        return self._mark > before


class EverySeconds:
    """Due when `seconds` of wall clock have passed since the start or the last `restart()`. None: never."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Start to wait again."""
        self._since = time.monotonic()

    def due(self) -> bool:
        """Return whether the time has passed; it reads the clock once."""
        return self.seconds is not None and time.monotonic() - self._since >= self.seconds
