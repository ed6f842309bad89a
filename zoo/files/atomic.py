"""Write a file or a folder atomically: readers see the old one or the new one, never a partial one.

The content is written to a hidden sibling, flushed to disk, and renamed. An error, Ctrl-C or a full disk removes the
sibling and leaves the old content. A killed process can leave the sibling behind; the next write of the same name
removes it. Where the system cannot exchange two folders in one step, a process that is killed between the two renames
leaves the old folder under a hidden name; the next write of the same name restores it.
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

TRIES = 20
# These errors always mean that writing failed, and may come without a file name.
WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def write_file(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write `content` to `path`, and create its parent folders.

    Raises:
        OutputError: `path` exists and `force` is not set, or it cannot be written.
    """
    refuse_existing(path, force)
    with _sibling(path) as temporary, explain_write_errors(path):
        with in_parent(path, lambda: temporary.open("xb")) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file to write, which replaces `path` when the block succeeds.

    Raises:
        OutputError: it cannot be written; `path` is unchanged.
    """
    with _sibling(path) as temporary, explain_write_errors(path):
        yield temporary
        _fsync(temporary)
        temporary.replace(path)


@contextmanager
def new_folder(
    path: Path, *, force: bool = False, replaceable: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
    """Yield a temporary folder to fill, which becomes `path` when the block succeeds.

    An `OSError` of the block that comes from writing into the folder becomes an `OutputError`; others pass.

    Args:
        force: replace what is at `path`.
        replaceable: whether the existing folder at `path` is of a kind that may be replaced at all.

    Raises:
        OutputError: `path` exists and may not be replaced, or it cannot be written.
    """
    refuse_other_encoding(path)
    with explain_write_errors(path):
        _restore(path)
    refuse_existing(path, force)
    if os.path.lexists(path) and not (path.is_dir() and replaceable(path)):
        raise OutputError(f"{path} exists and was not written by zoo.", "Use another folder with --output.")
    with _sibling(path) as temporary:
        with explain_write_errors(path):
            in_parent(path, temporary.mkdir)
        try:
            yield temporary
        except OSError as error:
            if not is_of_writing(error, temporary):
                raise
            raise _refusal(path, error) from error
        with explain_write_errors(path):
            for file in [entry for entry in temporary.rglob("*") if entry.is_file()] + [temporary]:
                _fsync(file)
            if force:
                _swap(temporary, path)
            else:
                temporary.rename(path)  # fails if `path` was created meanwhile


def refuse_existing(path: Path, force: bool) -> None:
    """Raise `OutputError` where `path` exists and `force` is not set, before any work is done."""
    if not force and os.path.lexists(path):
        raise OutputError(f"{path} already exists.", "Use another name, or --force to replace it.")


def refuse_unwritable(path: Path) -> None:
    """Raise `OutputError` where no file could be written at `path`, before any work is done."""
    if os.path.isdir(path):  # noqa: PTH112  (Path.is_dir raises for a name that is too long)
        raise OutputError(f"{path} is a folder, not a file.", "Use another name.")
    if not path.name:
        raise OutputError(f"{path} does not name a file or folder.", "Add a name.")
    refuse_other_encoding(path)
    # Missing folders are tried under another name: another process may need them, and must not see them vanish.
    missing = [parent for parent in path.parents if not os.path.lexists(parent)]
    there = missing[-1].parent if missing else path.parent
    hidden = f".{path.name}.{os.getpid()}.partial"
    probe = there / f".probe.{os.getpid()}.partial"
    with explain_write_errors(path):
        try:
            tried = (probe / path.parent.relative_to(there) if missing else there) / hidden
            in_parent(tried, lambda: tried.touch(exist_ok=False))
            tried.unlink()
        finally:
            _remove(probe)


def refuse_other_encoding(path: Path) -> None:
    """Raise `OutputError` where a path is not UTF-8: safetensors and other libraries could not open the file again."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise OutputError(
            f"The path {os.fsencode(path)!r} has bytes that are not UTF-8.", "Write to a folder whose name is UTF-8."
        ) from None


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into an `OutputError` about writing `path`."""
    try:
        yield
    except OSError as error:
        raise _refusal(path, error) from error


def is_of_writing(error: OSError, folder: Path) -> bool:
    """Whether `error` comes from writing in `folder`, and not from a missing file elsewhere."""
    named = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return error.errno in WRITE_ERRORS or any(name.is_relative_to(folder) for name in named)


def _refusal(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} could not be written: {error.strerror or error}.",
        "Free disk space, correct the permissions, or write elsewhere.",
    )


@contextmanager
def _sibling(path: Path) -> Iterator[Path]:
    if not path.name:
        raise OutputError(f"{path} does not name a file or folder.", "Add a name.")
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with explain_write_errors(path):
            in_parent(path, lambda: _clear_stale(path))
        yield temporary
    except BaseException:
        _remove(temporary)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def in_parent(path: Path, make: Callable[[], T]) -> T:
    """Create the parent folder of `path` and call `make`; again if another process just removed the folder."""
    for _ in range(TRIES):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return make()
        except FileNotFoundError:
            continue
        except FileExistsError as error:  # a parent existed, but not any more when `mkdir` checked it
            if Path(error.filename) not in path.parents or Path(error.filename).is_file():
                raise
    path.parent.mkdir(parents=True, exist_ok=True)
    return make()


def _restore(path: Path) -> None:
    """Restore the old folder if a process was killed between the two renames of `_swap`."""
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
    """The temporary siblings of `path` that ended processes left behind, the newest first."""
    siblings: list[Path] = []
    with suppress(FileNotFoundError):  # the parent folder is being removed
        siblings = list(path.parent.glob(f".{glob.escape(path.name)}{kind}.*.partial"))
    owned = [(entry, entry.name.split(".")[-2]) for entry in siblings]
    dead = [entry for entry, owner in owned if owner.isdecimal() and not _alive(int(owner))]
    return sorted(dead, key=lambda entry: entry.lstat().st_mtime, reverse=True)


def _alive(process: int) -> bool:
    """Whether another process with this id runs. In a container, a killed one often had the id of this process."""
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
        _remove(temporary)  # the old one, after the exchange
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
    with suppress(OSError):  # it may be missing, or its name too long
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
