"""Read a zip archive of PyTorch's through PyTorch's own reader, within limits, and pack what was checked afresh.

A zip file can have two central directories. Python's `zipfile` takes the one at the end of the file, PyTorch's reader
the one that the file points to: what the first one checks need not be what the second one loads. So records are read
by the reader that loads them, and PyTorch gets a new archive in memory that holds the checked records and no other.
"""

import io
import struct
import zipfile
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from zoo.contract.errors import ExportError
from zoo.contract.printable import quoted
from zoo.files.regular import open_regular
from zoo_export.reasons import AGAIN, clause

MOST_RECORDS = 200_000
TEXT_LIMIT = 2**26  # bytes of a record that is parsed; the largest that zoo met has 4 MB
ROOM = 1_000  # bytes around a record: headers, and padding
OWN_LIMIT = 1_000  # bytes of a record that PyTorch reads as soon as it opens an archive
READ_ON_OPENING = ("/version", "/byteorder", "/serialization_id", "/.format_version", "/.storage_alignment")
# The end of a zip archive, its form past 4 GB, and what points to that. The last two numbers, before
# the length of a comment, are the length of the directory and where it starts.
END, END_64, LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")


class Refused(Exception):
    """Why a file is not loaded, as a clause that goes on from "PyTorch does not load FILE: ".

    Args:
        next_step: what to do about it.
    """

    def __init__(self, why: str, next_step: str = AGAIN) -> None:
        super().__init__(why)
        self.next_step = next_step


class Archive:
    """The records of an archive, as PyTorch's reader sees them.

    Args:
        file: opened for reading; it must stay open.
        unpacked: by how many bytes the records may exceed the file. Tensors are stored as they are.

    Raises:
        RuntimeError: PyTorch's reader does not take it for an archive.
        Refused: its records are too many, too large, or ambiguous.
    """

    def __init__(self, file: BinaryIO, unpacked: int = 0) -> None:
        size = file.seek(0, io.SEEK_END)
        _need_one_directory(file, size)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
        if len(entries) > MOST_RECORDS:
            raise Refused(f"it has {len(entries):,} records, and the limit is {MOST_RECORDS:,}")
        total = sum(entry.file_size for entry in entries)
        if total > size + unpacked:
            raise Refused(f"its records have {total:,} bytes, where the file has {size:,}")
        used = sum(entry.compress_size + 2 * len(entry.filename) + ROOM for entry in entries)
        if size > used + ROOM:
            raise Refused(f"it has {size:,} bytes, of which at most {used:,} belong to its records")
        for entry in entries:
            if entry.file_size > OWN_LIMIT and entry.filename.endswith(READ_ON_OPENING):
                raise Refused(f"its record {quoted(entry.filename)} has {entry.file_size:,} bytes")
        file.seek(0)
        reader: Any = torch._C.PyTorchFileReader(file)
        self._reader = reader
        self.names: list[str] = reader.get_all_records()
        self.sizes = {entry.filename.partition("/")[2]: entry.file_size for entry in entries}
        offsets = [(name, int(reader.get_record_header_offset(name))) for name in self.names]
        if offsets != [(entry.filename.partition("/")[2], entry.header_offset) for entry in entries]:
            raise Refused("two readers of zip files see two archives in it")
        if len(self.sizes) != len(self.names):
            raise Refused("it holds two records of the same name")

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
            raise Refused(f"its record {quoted(name)} has {self.sizes[name]:,} bytes, and the limit is {TEXT_LIMIT:,}")
        return self.read(name)


def _need_one_directory(file: BinaryIO, size: int) -> None:
    """Raise `Refused` where the end record does not point to the directory right before it, which all readers use."""
    at = size - END.size
    file.seek(max(at, 0))
    end = file.read(END.size)
    if len(end) < END.size or not end.startswith(b"PK\5\6"):
        file.seek(0)
        begins = file.read(4) == b"PK\3\4"
        raise Refused(
            "it is truncated, or there is something behind its end"
            if begins
            else "it is not a zip archive"
            if size
            else "it is empty"
        )
    *_, length, start, _ = END.unpack(end)
    file.seek(max(at - LOCATOR.size, 0))
    locator = file.read(LOCATOR.size)
    if locator.startswith(b"PK\6\7"):  # of archives past 4 GB
        at -= LOCATOR.size + END_64.size
        file.seek(max(at, 0))
        end = file.read(END_64.size)
        if not end.startswith(b"PK\6\6") or LOCATOR.unpack(locator)[2] != at:
            raise Refused("two readers of zip files see two archives in it")
        *_, length, start = END_64.unpack(end)
    if start + length != at:
        raise Refused("two readers of zip files see two archives in it")


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
        return pack(checked(Archive(file)))


@contextmanager
def refusing(name: str) -> Any:
    """Turn what is raised on a malformed or unsafe file into an `ExportError` that names it."""
    next_step = AGAIN
    try:
        yield
    except Refused as error:
        why, next_step = str(error), error.next_step
    except OSError as error:
        why = f"it cannot be read ({error.strerror or error})"
    except (
        zipfile.BadZipFile,
        RuntimeError,
        ValueError,
        LookupError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:
        why = f"it is not an archive of PyTorch ({clause(error)})"
    else:
        return
    raise ExportError(f"PyTorch does not load {name}: {why}.", next_step)
