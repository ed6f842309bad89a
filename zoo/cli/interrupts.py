"""Ctrl-C, SIGTERM and a closed terminal become exceptions in the main thread, so that what was begun is tidied away.

They wait while a module is being imported. An exception that comes up in the start of an extension module, as
PyTorch's exporters load dozens of, ends the process with a crash instead: nothing is tidied then.
"""

import os
import signal
import threading
import time
from types import FrameType

PATIENCE = 15.0  # seconds that an import may hold a signal back
AGAIN = 0.05  # seconds until it is sent again
HEARD = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))


class Terminated(BaseException):
    """SIGTERM or SIGHUP came. No `SystemExit`, which would be taken for a plugin that tries to end the process."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def install() -> None:
    """Handle these signals from now on, but for one that whoever started this process wants ignored."""
    process = os.getpid()
    first: dict[int, float] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a worker, which inherited this; it has nothing to tidy and is not to be missed
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            os._exit(0)
        if hasattr(signal, "SIGCHLD"):  # PyTorch's handler would raise when the workers end, as they now do
            signal.signal(signal.SIGCHLD, lambda number, frame: None)  # SIG_DFL would warn of one that is on its way
        if _importing(frame) and time.monotonic() < first.setdefault(number, time.monotonic()) + PATIENCE:
            later = threading.Timer(AGAIN, os.kill, (process, number))
            later.daemon = True  # it need not be waited for where the process ends meanwhile
            later.start()
            return
        first.pop(number, None)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise Terminated(number)

    for number in HEARD:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handle)


def uninstall() -> None:
    """Let these signals end the process at once from now on: there is nothing left to tidy away."""
    for number in HEARD:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
