"""Claim the place of an output before the work begins, so that two processes do not do the same work and one fails.

A claim of `PATH` is a lock on the hidden file `.NAME.lock` beside it, which holds the number of the process. The lock
ends with its process, however that ends. A killed process can leave the file behind; that is no claim, and the next
claim of the same place removes it.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from zoo.contract.errors import OutputError
from zoo.files.atomic import explain_write_errors, in_parent
from zoo.files.regular import read_regular

PATIENCE = 0.25  # seconds; a file that another process removes while it is locked is tried again until then
CANNOT_WRITE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR)


@contextmanager
def claimed(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from claiming `path` during the block. Neither `path` nor its folder needs to exist.

    On a file system without locks nobody is kept out.

    Args:
        wait: wait for another process that has claimed it, instead of raising.

    Raises:
        OutputError: another process has claimed it, or nothing can be written there.
    """
    if not path.name:
        raise OutputError(f"{path} does not name a file or folder.", "Add a name.")
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    file = path.with_name(f".{path.name}.lock")
    try:
        lock = _lock(file, path, -1 if wait else PATIENCE)
        try:
            yield
        finally:
            with suppress(OSError):
                file.unlink()  # while it is locked: a process that waits for it sees that it is gone, and tries again
            lock.release()
    finally:
        for parent in made:
            with suppress(OSError):  # something else is in it
                parent.rmdir()


def _lock(file: Path, path: Path, timeout: float) -> FileLock:
    lock = FileLock(file, thread_local=False, fallback_to_soft=False)
    with explain_write_errors(path):
        try:
            in_parent(file, lambda: lock.acquire(timeout=timeout, poll_interval=PATIENCE / 10))
        except Timeout:
            raise OutputError(
                f"{_holder(file)} is writing {path}.", "Wait until it ends, or use another name or folder."
            ) from None
        except OSError as error:
            if error.errno in CANNOT_WRITE:
                raise
    if lock.is_locked:
        _write_holder(file)
    return lock


def _write_holder(file: Path) -> None:
    with suppress(OSError):  # the number only explains
        file.write_text(f"{os.getpid()} {socket.gethostname()}\n", encoding="utf-8")


def _holder(file: Path) -> str:
    """The process that holds the lock, as far as the file says."""
    number, _, host = "", "", ""
    with suppress(OSError, ValueError):
        number, _, host = read_regular(file, 300).decode().strip().partition(" ")
    if not number.isdecimal():
        return "Another process"
    return f"Process {number}" + (f" on {host}" if host != socket.gethostname() and host.isprintable() else "")
