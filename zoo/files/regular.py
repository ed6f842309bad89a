"""Open a file of the outside world: a regular file, or an error. Opening never blocks and never touches a device.

Opening a FIFO waits for a writer, reading `/dev/zero` never ends, and opening some devices acts on them. So the path
is looked at before it is opened, and the open file is looked at again.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

CHUNK = 1 << 20  # bytes
# What exists on this system. O_NONBLOCK: do not wait for the writer of a FIFO that replaced the file meanwhile.
FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"))
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
OTHER = "something else"


class UnreadableFile(OSError):
    """A path that cannot name a file, a file that is not a regular file, or one that is too large."""

    def __init__(self, reason: str, path: str | os.PathLike[str]) -> None:
        super().__init__(errno.EINVAL, reason, os.fspath(path))


def open_regular(path: str | os.PathLike[str], limit: int | None = None) -> BufferedReader:
    """Open the regular file at `path` for reading, or the one that a symbolic link there leads to.

    Args:
        limit: the largest size in bytes; `None` for any.

    Raises:
        OSError: there is no file, or it cannot be opened. `strerror` says why.
        UnreadableFile: an `OSError`: it is not a regular file, it is larger than `limit`, or `path` cannot name a file.
    """
    try:
        _check(path, Path(path).stat(), limit)
        descriptor = os.open(path, FLAGS)
    except ValueError:  # NUL, or half a surrogate pair
        raise UnreadableFile("the name holds a character that no file name can have", path) from None
    try:
        _check(path, os.fstat(descriptor), limit)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The content of the regular file at `path`; see `open_regular`. At most `limit` bytes are read.

    Raises:
        OSError: as `open_regular`, or it cannot be read.
        UnreadableFile: as `open_regular`. Some files, such as those in `/proc`, hold more than the size they report.
    """
    content = bytearray()
    with open_regular(path, limit) as file:
        while chunk := file.read(min(CHUNK, limit + 1 - len(content))):
            content += chunk
            if len(content) > limit:
                raise _too_large(path, f"more than {limit:,} bytes", limit)
    return bytes(content)


def is_regular(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a regular file or leads to one. Never raises: no path is too long or malformed for it."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def kind_of(path: str | os.PathLike[str]) -> str:
    """What is at `path`, such as "a folder" or "a FIFO"; empty for a regular file, and for nothing. Never raises."""
    try:
        kind = stat.S_IFMT(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return ""
    return "" if kind == stat.S_IFREG else KINDS.get(kind, OTHER)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a folder or leads to one. Never raises."""
    try:
        return stat.S_ISDIR(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def _check(path: str | os.PathLike[str], status: os.stat_result, limit: int | None) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise UnreadableFile(f"it is {KINDS.get(kind, OTHER)}, not a regular file", path)
    if limit is not None and status.st_size > limit:
        raise _too_large(path, f"{status.st_size:,} bytes", limit)


def _too_large(path: str | os.PathLike[str], size: str, limit: int) -> UnreadableFile:
    return UnreadableFile(f"it has {size}, and the limit is {limit:,}", path)
