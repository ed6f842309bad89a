"""One process at a time writes into a run folder: whoever does holds a lock on a file in it."""

import os
import sys
from pathlib import Path

from zoo.contract.errors import TrainingError


class Lock:
    """A lock on a file, held until it is released or the process ends in whatever way.

    Attributes:
        real: whether others are kept out. Windows and some network file systems have no such locks.

    Raises:
        TrainingError: another process holds it.
    """

    def __init__(self, file: Path) -> None:
        self._descriptor = os.open(file, os.O_RDWR)  # NFS locks no file that is open for reading alone
        self.real = sys.platform != "win32"
        _held.add(self._descriptor)
        if sys.platform == "win32":
            return
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            self.release()
            raise TrainingError(
                f"The run {file.parent} is running now, in another process.",
                "Wait for its end, or stop that process first.",
            ) from None
        except OSError:
            self.real = False

    def release(self) -> None:
        """Let others have it."""
        _held.discard(self._descriptor)
        os.close(self._descriptor)


def is_held(file: Path) -> bool:
    """Whether a process holds a lock on a file."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it cannot be read, or the file system has no locks
        return False
    return False  # and to close it let go of it


_held: set[int] = set()


def _let_go() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):  # a worker that outlives a killed run for seconds would keep its lock
    os.register_at_fork(after_in_child=_let_go)
