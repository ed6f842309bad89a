"""Read an export folder: its manifest, and whether its files are those that were written. Needs no torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError, UsageError
from zoo.contract.evidence import Manifest
from zoo.contract.evidence.format1 import upgraded


@contextmanager
def explain_runtime_errors(folder: Path) -> Iterator[None]:
    """Turn the runtime's errors, which know nothing of zoo, into zoo's own."""
    try:
        yield
    except zoo_runtime.Difference as error:
        raise DifferenceError(f"{folder}: {error.cause}", error.next_step) from None
    except zoo_runtime.Error as error:
        raise ExportError(error.cause, error.next_step) from None


def read_folder(folder: Path) -> Manifest:
    """The manifest of an export folder, its digest and every file's hash checked. Reads what zoo 0.1.0 wrote, too.

    Raises:
        ExportError: it is not an export folder.
        DifferenceError: a file is missing or is not what the manifest says.
    """
    if not folder.exists():
        raise ExportError(
            f"There is no file or folder {folder}.", "Check the path, or write a folder with `zoo export`."
        )
    with explain_runtime_errors(folder):
        data = zoo_runtime.check_files(folder, upgraded)
    try:
        return Manifest.from_dict(data)
    except (AttributeError, LookupError, TypeError, ValueError, UsageError) as error:
        raise DifferenceError(
            f"{folder}: manifest.json is not what was written: {error}.", zoo_runtime.RESTORE
        ) from None
