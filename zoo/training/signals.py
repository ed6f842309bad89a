"""Ctrl-C, SIGTERM and SIGHUP wait until a step of training, or a file being written, is done.

Whoever handled them before does so then, as ever. A second signal does not wait.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Signals:
    """Inside `with Signals() as signals`, signals wait for the end of each `with signals.held()`."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int] = {}
        self._inside = False
        self._waiting: int | None = None

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                before = signal.getsignal(number)
                if before is not None and before != signal.SIG_IGN:
                    self._before[number] = before
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let signals wait until the block is over; one that waited is handled there."""
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._deliver(number, sys._getframe())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._inside or self._waiting is not None or os.getpid() != self._process:
            self._deliver(number, frame)
            return
        self._waiting = number
        if hasattr(signal, "SIGCHLD"):  # PyTorch's handler would raise when the workers end, which got the signal too
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if callable(before):
            before(number, frame)
            return
        with suppress(ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
