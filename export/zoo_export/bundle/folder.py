"""Read an export folder: its manifest, and whether its files are those that were written. Needs no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn the runtime's errors, which know nothing of zoo, into zoo's own."""
    try:
        yield
    except zoo_runtime.Difference as error:
        raise DifferenceError(f"{folder}: {error.cause}", error.next_step) from None
    except zoo_runtime.Error as error:
        raise ExportError(error.cause, error.next_step) from None


def read_folder(folder: Path) -> dict[str, Any]:
    """The manifest of an export folder, its digest and every file's hash checked.

    Raises:
        ExportError: it is no export folder.
        DifferenceError: a file is missing or is not what the manifest says.
    """
    with explained(folder):
        return zoo_runtime.check_files(folder)
