"""Raise an exception in the main thread for Ctrl-C, SIGTERM and a closed terminal, so that partial output is removed.

Ctrl-C during an import takes effect when the import ends. An exception during the initialisation of an extension
module, of which PyTorch's exporters load dozens, would crash the process without any cleanup.
"""

import os
import signal
import threading
import time
from types import FrameType

MAX_DELAY = 15.0  # seconds that an import can delay a signal
RETRY_INTERVAL = 0.05  # seconds until the signal is sent again
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Terminated(BaseException):
    """SIGTERM or SIGHUP was received. Not a `SystemExit`, which is treated as an error of a plugin."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def install() -> None:
    """Install the handlers. A signal that is ignored stays ignored, as under `nohup`."""
    process = os.getpid()
    first: dict[int, float] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a forked worker process, which has nothing to clean up
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            os._exit(0)
        if hasattr(signal, "SIGCHLD"):  # PyTorch's handler raises when workers exit
            signal.signal(signal.SIGCHLD, lambda number, frame: None)  # SIG_DFL would print a pending one
        if _importing(frame) and time.monotonic() < first.setdefault(number, time.monotonic()) + MAX_DELAY:
            later = threading.Timer(RETRY_INTERVAL, os.kill, (process, number))
            later.daemon = True  # do not keep the process alive
            later.start()
            return
        first.pop(number, None)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(number)

    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handle)


def uninstall() -> None:
    """Restore the default handlers, which end the process: there is nothing left to clean up."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
