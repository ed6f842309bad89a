"""Ctrl-C, SIGTERM and SIGHUP wait until a training step is complete or a file is written.

They are then handled by the handlers that were installed before. A second signal does not wait.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from zoo.training.distributed.process_group import is_lost_rank

GRACE = 20.0  # seconds in which ranks agree to stop; torchrun kills ranks that run on for 30
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Signals:
    """Inside `with Signals() as signals`, signals wait for the end of each `with signals.deferred()`.

    Where several ranks train together, signals wait for the next `sync` instead, which stops all ranks after the same
    step. A launcher that receives Ctrl-C sends more signals meanwhile; these wait too, for `GRACE` seconds.

    Args:
        all_reduce_max: returns the maximum of each number over the ranks; `None` for a single process.
    """

    def __init__(self, all_reduce_max: Callable[..., tuple[int, ...]] | None = None) -> None:
        self._all_reduce_max = all_reduce_max
        self._pending: int | None = None
        self._pending_since = 0.0
        self._deferring = False
        self._process = os.getpid()
        self._handlers: dict[int, Callable[[int, FrameType | None], Any] | int] = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                handler = signal.getsignal(number)
                if handler is not None and handler != signal.SIG_IGN:
                    self._handlers[number] = handler
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if is_lost_rank(error):  # the launcher now ends the other ranks, which must report the error first
            return
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals until the block is over, and handle one that came meanwhile."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False
        if self._pending is not None and self._all_reduce_max is None:
            number, self._pending = self._pending, None
            self._deliver(number, sys._getframe())

    def sync(self, flag: bool) -> bool:
        """Handle a signal that came to any rank on all of them. Every rank must call this, between two steps.

        Returns:
            Whether `flag` is set on any rank.
        """
        if self._all_reduce_max is None:
            return flag
        number, any_flag = self._all_reduce_max(self._pending or 0, int(flag))
        if number:
            self._pending = None
            self._deliver(number, sys._getframe())
        return bool(any_flag)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        wait = self._deferring and self._pending is None
        if self._all_reduce_max is not None:
            wait = self._pending is None or now < self._pending_since + GRACE
        if not wait or os.getpid() != self._process:
            self._deliver(number, frame)
            return
        if self._pending is None:
            self._pending, self._pending_since = number, now
        if hasattr(signal, "SIGCHLD"):  # the workers get the signal too, and PyTorch's handler raises when they end
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers.get(number, signal.SIG_DFL)  # this rank may ignore the signal that another received
        if callable(handler):
            handler(number, frame)
            return
        with suppress(ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
