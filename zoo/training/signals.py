"""Ctrl-C, SIGTERM and SIGHUP wait until a step of training, or a file being written, is done.

Whoever handled them before does so then, as ever. A second signal does not wait.
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

SOON = 20.0  # seconds in which ranks agree; torchrun kills those that go on for 30
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class Signals:
    """Inside `with Signals() as signals`, signals wait for the end of each `with signals.held()`.

    Where several ranks train together, they wait for the next `settle` instead, which stops all of them after the same
    step; a launcher that hears Ctrl-C sends more signals meanwhile, which wait too, for `SOON` seconds.

    Args:
        agree: gives each number at its largest over the ranks; `None` where there is one process.
    """

    def __init__(self, agree: Callable[..., tuple[int, ...]] | None = None) -> None:
        self._agree = agree
        self._since = 0.0
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

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if is_lost_rank(error):  # the launcher ends those who are left, who end by themselves and have to say why first
            return
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
        if self._waiting is not None and self._agree is None:
            number, self._waiting = self._waiting, None
            self._deliver(number, sys._getframe())

    def settle(self, due: bool) -> bool:
        """Handle a signal that came to any rank, on all of them; to be called by all of them between two steps.

        Returns:
            whether any of them says `due`.
        """
        if self._agree is None:
            return due
        number, any_due = self._agree(self._waiting or 0, int(due))
        if number:
            self._waiting = None
            self._deliver(number, sys._getframe())
        return bool(any_due)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        waits = self._inside and self._waiting is None
        if self._agree is not None:
            waits = self._waiting is None or now < self._since + SOON
        if not waits or os.getpid() != self._process:
            self._deliver(number, frame)
            return
        if self._waiting is None:
            self._waiting, self._since = number, now
        if hasattr(signal, "SIGCHLD"):  # PyTorch's handler would raise when the workers end, which got the signal too
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        before = self._before.get(number, signal.SIG_DFL)  # of another rank's, which this one may not listen to
        if callable(before):
            before(number, frame)
            return
        with suppress(ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
