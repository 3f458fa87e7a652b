"""Ctrl-C between two iterations instead of inside one."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class DeferredInterrupt:
    """Remembers the first SIGINT, so that training can end with a whole iteration; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: object = None

    def install(self) -> None:
        """Take over SIGINT, unless someone else handles it or this is not the main thread."""
        self.requested = False
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._remember)

    def remove(self) -> None:
        """Give SIGINT back."""
        if self._previous is not None and signal.getsignal(signal.SIGINT) == self._remember:
            signal.signal(signal.SIGINT, self._previous)
        self._previous = None

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
