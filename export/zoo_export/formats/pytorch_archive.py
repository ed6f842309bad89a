"""Read a zip archive of PyTorch's through PyTorch's own reader, within limits, and pack what was checked afresh.

A zip file can have two central directories. Python's `zipfile` takes the one at the end of the file, PyTorch's reader
the one that the file points to: what the first one checks need not be what the second one loads. So records are read
by the reader that loads them, and PyTorch gets a new archive in memory that holds the checked records and no other.
"""

import io
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from zoo.contract.errors import ExportError
from zoo.contract.printable import plain
from zoo.files.regular import open_regular

MOST_RECORDS = 200_000
TEXT_LIMIT = 2**28  # bytes of a record that is parsed, and of all compressed records; the largest that zoo met has 4 MB
SHOWN = 80  # characters of a file's own text in a message


class Refused(Exception):
    """Why a file is not loaded, as a clause that goes on from "PyTorch does not load FILE: "."""


class Archive:
    """The records of an archive, as PyTorch's reader sees them.

    Args:
        file: opened for reading; it must stay open.
        size: of the file, in bytes.

    Raises:
        RuntimeError: PyTorch's reader does not take it for an archive.
        Refused: its records are too many, too large, or ambiguous.
    """

    def __init__(self, file: Any, size: int) -> None:
        self._reader: Any = torch._C.PyTorchFileReader(file)
        self.names: list[str] = self._reader.get_all_records()
        if len(self.names) > MOST_RECORDS:
            raise Refused(f"it has {len(self.names):,} records, and the limit is {MOST_RECORDS:,}")
        if len(set(self.names)) != len(self.names):
            raise Refused("it holds two records of the same name")
        # PyTorch before 2.12 cannot say how large a record is; the limits of the process that loads it bound it then.
        measure: Callable[[str], int] | None = getattr(self._reader, "get_record_size", None)
        self.sizes = {name: measure(name) if measure else len(self.read(name)) for name in self.names}
        # Tensors are stored as they are, so that all of them fit into the file; only text is compressed.
        if sum(self.sizes.values()) > size + TEXT_LIMIT:
            raise Refused(f"its records have {sum(self.sizes.values()):,} bytes, where the file has {size:,}")

    def read(self, name: str) -> bytes:
        """The content of a record."""
        content: bytes = self._reader.get_record(name)
        return content

    def text(self, name: str) -> bytes:
        """The content of a record that is parsed.

        Raises:
            Refused: it is too large, or missing.
        """
        if name not in self.sizes:
            raise Refused(f"it has no record {name}")
        if self.sizes[name] > TEXT_LIMIT:
            raise Refused(f"its record {shown(name)} has {self.sizes[name]:,} bytes, and the limit is {TEXT_LIMIT:,}")
        return self.read(name)


def pack(records: Iterable[tuple[str, bytes]]) -> io.BytesIO:
    """A new archive of those records, in memory."""
    packed = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(packed)
    for name, content in records:
        writer.write_record(name, content, len(content))
    writer.write_end_of_file()
    packed.seek(0)
    return packed


def repack(path: Path, checked: Callable[[Archive], Iterable[tuple[str, bytes]]]) -> io.BytesIO:
    """The archive at `path` with the records that `checked` gives, in memory.

    Raises:
        ExportError: it is not an archive, or `checked` raises `Refused`.
    """
    with refusing(path.name), open_regular(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        return pack(checked(Archive(file, size)))


@contextmanager
def refusing(name: str) -> Any:
    """Turn what is raised on a malformed or unsafe file into an `ExportError` that names it."""
    try:
        yield
    except Refused as error:
        why = str(error)
    except OSError as error:
        why = f"it cannot be read ({error.strerror or error})"
    except (RuntimeError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        why = f"it is not a valid archive ({shown(str(error).splitlines()[0] if str(error) else type(error).__name__)})"
    else:
        return
    raise ExportError(f"PyTorch does not load {name}: {why}.", "Export it again, or get it from its author again.")


def shown(text: object) -> str:
    """A file's own text for a message: on one line, in quotes, shortened, without control characters."""
    line = plain(text)
    return repr(line if len(line) <= SHOWN else f"{line[:SHOWN]}…")
