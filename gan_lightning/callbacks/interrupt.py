"""Delays Ctrl-C until the program can stop safely."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None  # what signal.signal takes and returns


class DeferredInterrupt:
    """Interrupts at once; while `unsuitable()` is True, the first SIGINT only sets `requested`."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: Handler = None

    def install(self, unsuitable: Callable[[], bool]) -> None:
        """Install the handler for SIGINT, unless another handler is installed or this is not the main thread."""
        self.requested, self._unsuitable = False, unsuitable
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._remember)

    def remove(self) -> None:
        """Restore the former handler of SIGINT."""
        if self._previous is not None and signal.getsignal(signal.SIGINT) == self._remember:
            signal.signal(signal.SIGINT, self._previous)
        self._previous = None

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self._unsuitable():
            raise KeyboardInterrupt
        self.requested = True
