"""Write a file or a folder whole or not at all: whoever looks sees the old one or the new one.

What is written goes to a hidden sibling first, is flushed to the disk, and is then renamed. An error, Ctrl-C or
a full disk removes the sibling and leaves what was there. A killed process can leave the hidden sibling behind;
the next write of the same name clears it away.
"""

import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.errors import OutputError


def write_file(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write `content` to `path`, making its parent folders.

    Raises:
        OutputError: `path` exists and `force` is not set, or it cannot be written.
    """
    refuse_existing(path, force)
    with _sibling(path) as temporary:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


@contextmanager
def new_folder(
    path: Path, *, force: bool = False, replaceable: Callable[[Path], bool] = lambda path: False
) -> Iterator[Path]:
    """Give a folder to fill, which becomes `path` when the block ends well.

    Args:
        force: replace what is at `path`.
        replaceable: whether the folder now at `path` is of the kind that may be replaced at all.

    Raises:
        OutputError: `path` exists and may not be replaced, or it cannot be written.
    """
    refuse_existing(path, force)
    if os.path.lexists(path) and not (path.is_dir() and replaceable(path)):
        raise OutputError(f"{path} exists and is not a folder that zoo wrote.", "Choose another place with --output.")
    with _sibling(path) as temporary:
        temporary.mkdir()
        yield temporary
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
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    with _sibling(path) as temporary:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    for parent in made:
        with suppress(OSError):
            parent.rmdir()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write at `path` into an `OutputError`."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path} could not be written: {error.strerror or error}.",
            "Make room or correct its permissions, or choose another place.",
        ) from error


@contextmanager
def _sibling(path: Path) -> Iterator[Path]:
    if not path.name:
        raise OutputError(f"{path} is no place for a file or folder of its own.", "Give it a name.")
    made = [parent for parent in path.parents if not os.path.lexists(parent)]
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _clear_stale(path)
            yield temporary
    except BaseException:
        _remove(temporary)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _clear_stale(path: Path) -> None:
    for stale in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        owner = stale.name.split(".")[-2]
        if owner.isdecimal() and not _alive(int(owner)):
            _remove(stale)


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
