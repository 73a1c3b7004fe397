"""SIGTERM as a flag, so that a script can save its work before it leaves."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


class Interruption:
    """Whether SIGTERM has arrived since `install`."""

    def __init__(self) -> None:
        self.arrived = False
        self._installed = False
        self._process = os.getpid()
        self._previous: signal._HANDLER = signal.SIG_DFL

    def install(self) -> None:
        """Take SIGTERM over; a handler that stood before is still called. Python allows that in the main thread only."""
        if threading.current_thread() is not threading.main_thread():
            return
        # None stands for a handler installed from C: it could not be put back, so it stays.
        if signal.getsignal(signal.SIGTERM) is None:
            return
        self._previous = signal.signal(signal.SIGTERM, self._receive)
        self._installed = True

    def restore(self) -> None:
        """Put the previous handler back, unless someone has replaced ours since."""
        if self._installed and signal.getsignal(signal.SIGTERM) == self._receive:
            signal.signal(signal.SIGTERM, self._previous)
        self._installed = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._die_as_before(number)
            return
        self.arrived = True
        if callable(self._previous):
            self._previous(number, frame)

    def _die_as_before(self, number: int) -> None:
        """A forked child, such as a data loader's worker, inherits the handler; terminate() must still end it."""
        signal.signal(number, self._previous)
        os.kill(os.getpid(), number)
