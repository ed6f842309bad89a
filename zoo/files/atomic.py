"""Write a file or a folder whole or not at all: whoever looks sees the old one or the new one.

What is written goes to a hidden sibling first, is flushed to the disk, and is then renamed. An error, Ctrl-C or
a full disk removes the sibling and leaves what was there. A killed process can leave the hidden sibling behind;
the next write of the same name clears it away. Where the system cannot exchange two folders in one step, a process
that is killed between the two renames leaves the old folder set aside; the next write of that name puts it back.
"""

import errno
import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from zoo.contract.errors import OutputError
from zoo.files.exchange import exchange

T = TypeVar("T")

# These say of themselves that writing was refused, and may come without the name of a file.
TRIES = 20
REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def write_file(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write `content` to `path`, making its parent folders.

    Raises:
        OutputError: `path` exists and `force` is not set, or it cannot be written.
    """
    refuse_existing(path, force)
    with _sibling(path) as temporary, explained(path):
        with _made(path, lambda: temporary.open("xb")) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Give the path of a file to write, which takes the place of `path` when the block ends well.

    Raises:
        OutputError: it cannot be written; `path` is as it was.
    """
    with _sibling(path) as temporary, explained(path):
        yield temporary
        _fsync(temporary)
        temporary.replace(path)


@contextmanager
def new_folder(
    path: Path, *, force: bool = False, replaceable: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
    """Give a folder to fill, which becomes `path` when the block ends well.

    An `OSError` that the block raises is explained where it comes of writing into the folder; any other is passed on.

    Args:
        force: replace what is at `path`.
        replaceable: whether the folder now at `path` is of the kind that may be replaced at all.

    Raises:
        OutputError: `path` exists and may not be replaced, or it cannot be written.
    """
    with explained(path):
        _put_back(path)
    refuse_existing(path, force)
    if os.path.lexists(path) and not (path.is_dir() and replaceable(path)):
        raise OutputError(f"{path} exists and is not a folder that zoo wrote.", "Choose another place with --output.")
    with _sibling(path) as temporary:
        with explained(path):
            _made(path, temporary.mkdir)
        try:
            yield temporary
        except OSError as error:
            if not is_of_writing(error, temporary):
                raise
            raise _refusal(path, error) from error
        with explained(path):
            for file in [entry for entry in temporary.rglob("*") if entry.is_file()] + [temporary]:
                _fsync(file)
            if force:
                _swap(temporary, path)
            else:
                temporary.rename(path)  # where one has come up meanwhile, this fails


def refuse_existing(path: Path, force: bool) -> None:
    """Raise `OutputError` where `path` exists and `force` is not set, so that work can stop before it starts."""
    if not force and os.path.lexists(path):
        raise OutputError(f"{path} exists already.", "Choose another name, or say --force to replace it.")


def refuse_unwritable(path: Path) -> None:
    """Raise `OutputError` where no file could be written at `path`, so that work can stop before it starts."""
    if os.path.isdir(path):  # noqa: PTH112  (a name too long is answered, not raised)
        raise OutputError(f"{path} is a folder, where a file is to be written.", "Choose another name.")
    if not path.name:
        raise OutputError(f"{path} is no place for a file or folder of its own.", "Give it a name.")
    # Folders that are missing are tried apart: another process may want them, and must not see them come and go.
    missing = [parent for parent in path.parents if not os.path.lexists(parent)]
    there = missing[-1].parent if missing else path.parent
    hidden = f".{path.name}.{os.getpid()}.partial"
    probe = there / f".probe.{os.getpid()}.partial"
    with explained(path):
        try:
            tried = (probe / path.parent.relative_to(there) if missing else there) / hidden
            _made(tried, lambda: tried.touch(exist_ok=False))
            tried.unlink()
        finally:
            _remove(probe)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write at `path` into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def is_of_writing(error: OSError, folder: Path) -> bool:
    """Whether `error` says that something in `folder` could not be written, rather than that some file is missing."""
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return error.errno in REFUSED or any(name.is_relative_to(folder) for name in named)


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} could not be written: {error.strerror or error}.",
        "Make room or correct its permissions, or choose another place.",
    )


@contextmanager
def _sibling(path: Path) -> Iterator[Path]:
    if not path.name:
        raise OutputError(f"{path} is no place for a file or folder of its own.", "Give it a name.")
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with explained(path):
            _made(path, lambda: _clear_stale(path))
        yield temporary
    except BaseException:
        _remove(temporary)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _made(path: Path, make: Callable[[], T]) -> T:
    """What `make` makes beside `path`, whose folder another process that failed there may just be removing."""
    for _ in range(TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return make()
        except FileNotFoundError:
            continue
        except FileExistsError as error:  # it was there, and was gone when `mkdir` looked what it is
            if Path(error.filename) not in path.parents or Path(error.filename).is_file():
                raise
    path.parent.mkdir(parents=True, exist_ok=True)
    return make()


def _put_back(path: Path) -> None:
    """Where a process was killed while it replaced `path`, and it is gone, make it again what it was."""
    if not path.name or os.path.lexists(path):
        return
    for old in _stale(path, ".old"):
        if old.is_dir():
            old.rename(path)
            return


def _clear_stale(path: Path) -> None:
    for stale in _stale(path):
        _remove(stale)


def _stale(path: Path, kind: str = "") -> list[Path]:
    """What processes that have ended left beside `path`, the newest first."""
    left: list[Path] = []
    with suppress(FileNotFoundError):  # the folder is being removed
        left = list(path.parent.glob(f".{glob.escape(path.name)}{kind}.*.partial"))
    owned = [(entry, entry.name.split(".")[-2]) for entry in left]
    dead = [entry for entry, owner in owned if owner.isdecimal() and not _alive(int(owner))]
    return sorted(dead, key=lambda entry: entry.lstat().st_mtime, reverse=True)


def _alive(process: int) -> bool:
    """Whether another process of that number runs; in a container a killed one often had this process's number."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return process != os.getpid()


def _swap(temporary: Path, path: Path) -> None:
    if not os.path.lexists(path):
        temporary.rename(path)
        return
    if exchange(temporary, path):
        _remove(temporary)  # it is the old one now
        return
    old = path.with_name(f".{path.name}.old.{os.getpid()}.partial")
    path.rename(old)
    try:
        temporary.rename(path)
    except BaseException:
        old.rename(path)
        raise
    _remove(old)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    with suppress(OSError):  # it may not be there, or its name may be too long to be looked up
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
