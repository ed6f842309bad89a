"""Only one process at a time writes into a run folder: it holds a lock on `run.json`."""

import errno
import os
import sys
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.contract.errors import TrainingError


class Lock:
    """An exclusive lock on an existing file, held until it is released or the process ends, however it ends.

    The lock is on the file, not on its path, so it survives renaming the folder. A forked worker does not inherit it.

    Attributes:
        is_effective: whether other processes are kept out; some network file systems have no locks.

    Raises:
        TrainingError: another process holds the lock.
        OSError: the file cannot be opened for writing.
    """

    def __init__(self, file: Path) -> None:
        self.is_effective = True
        self._lock = FileLock(file, blocking=False, thread_local=False, fallback_to_soft=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise TrainingError(
                f"Another process is running the run {file.parent}.", "Wait until it ends, or stop it."
            ) from None
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.EROFS):
                raise
            self.is_effective = False

    def release(self) -> None:
        """Let other processes have the lock."""
        self._lock.release()


def is_held(file: Path) -> bool:
    """Whether a process holds a lock on a file.

    filelock could only tell by taking the exclusive lock, so that two processes that ask at once would see each other.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    descriptor = -1
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would wait for a writer
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file cannot be read, or the file system has no locks
        return False
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return False
