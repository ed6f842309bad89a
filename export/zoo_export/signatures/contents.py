"""The files that a signature covers: every file of a folder but the signature itself."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from zoo.contract.errors import DifferenceError, ExportError
from zoo.files.regular import kind_of
from zoo_export.signatures.names import SIGNATURE

if TYPE_CHECKING:
    from model_signing.hashing import Config

WHOLE = "."  # how a signature names the file, where it is of one file


def signed_names(path: Path) -> set[str]:
    """The names that a signature of `path` has: relative paths with `/`, or `.` for a single file.

    Nothing is opened, and symbolic links are not followed.

    Raises:
        DifferenceError: the folder holds something that is neither a regular file nor a folder. It cannot be signed.
    """
    return set(_walk(path, "")) - {SIGNATURE} if path.is_dir() else {WHOLE}


def hashing_config(path: Path) -> "Config":
    """How the files of `path` are hashed: each with SHA-256, none left out but the signature, not even `.git`."""
    from model_signing.hashing import Config

    ignored = [path / SIGNATURE] if path.is_dir() else []
    return (
        Config()
        .use_file_serialization(hashing_algorithm="sha256", allow_symlinks=False)
        .set_ignored_paths(paths=ignored, ignore_git_paths=False)
    )


def refuse_irregular(path: Path) -> NoReturn:
    """Say what `path` is, which is neither a regular file nor a folder.

    Raises:
        ExportError: always.
    """
    if kind := kind_of(path):
        raise ExportError(f"{path} is {kind}, not a regular file.", "Only regular files and export folders are signed.")
    raise ExportError(f"There is no file or folder {path}.", "Check the path.")


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                yield from _walk(Path(entry.path), f"{name}/")
            elif stat.S_ISREG(mode):
                yield name
            else:
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a regular file"
                raise DifferenceError(
                    f"{entry.path} is {kind}, which no signature covers.", "Remove it, or get the folder again."
                )
