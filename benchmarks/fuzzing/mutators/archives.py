"""Changes to zip archives, which `.pt2`, TorchScript and `.npz` files are: to records, and to the directory."""

import io
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace

from fuzzing.mutators import raw

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
Change = Callable[[str, bytes, random.Random], tuple[bytes, str] | None]


@dataclass(frozen=True)
class Record:
    """One entry of an archive."""

    name: str
    content: bytes
    method: int = zipfile.ZIP_STORED


def records(content: bytes) -> list[Record]:
    """What is in a valid archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [Record(info.filename, archive.read(info), info.compress_type) for info in archive.infolist()]


def pack(entries: list[Record]) -> bytes:
    """An archive of these records, in their order."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for entry in entries:
            archive.writestr(zipfile.ZipInfo(entry.name), entry.content, entry.method)
    return buffer.getvalue()


def mutate(content: bytes, draw: random.Random, change: Change, names: tuple[str, ...] = ()) -> tuple[bytes, list[str]]:
    """A changed archive, and what was changed.

    Args:
        change: changes the content of a record along its structure; `None` where it knows none.
        names: that a record of this format may have.
    """
    entries = records(content)
    way = draw.random()
    if way < 0.12:
        changed, note = raw.damage(content, draw)
        return changed, [note]
    if way < 0.62:
        entry, note = _changed(draw.choice(entries), draw, change)
        entries = [entry if each.name == entry.name else each for each in entries]
        return pack(entries), [note]
    if way < 0.82:
        entries, note = _other_records(entries, draw, names)
        return pack(entries), [note]
    if way < 0.94:
        return _other_directory(pack(entries), draw)
    entry, note = _changed(draw.choice(entries), draw, change)
    hidden = [entry if each.name == entry.name else each for each in entries]
    first, second = (entries, hidden) if draw.random() < 0.5 else (hidden, entries)
    return two_directories(first, second), ["two directories;", note]


def two_directories(stored: list[Record], derived: list[Record]) -> bytes:
    """An archive that shows `stored` to readers that take the directory's offset as it is stored, as PyTorch's, and
    `derived` to those that compute it from the directory's size and the end of the file, as Python's."""
    parts = [_parts(pack(stored)), _parts(pack(derived))]
    (first, first_directory, _), (second, second_directory, count) = parts
    # Python adds the difference between where the directory is and where it is said to be to every offset.
    shift = len(first_directory)
    second_directory = _moved(second_directory, len(first) - shift)
    end = struct.pack("<4sHHHHIIH", END, 0, 0, count, count, len(second_directory), len(first) + len(second), 0)
    return first + second + first_directory + second_directory + end


def _changed(entry: Record, draw: random.Random, change: Change) -> tuple[Record, str]:
    changed = change(entry.name, entry.content, draw) if draw.random() < 0.85 else None
    content, note = changed or raw.damage(entry.content, draw)
    return replace(entry, content=content), f"{entry.name}: {note}"


def _other_records(entries: list[Record], draw: random.Random, names: tuple[str, ...]) -> tuple[list[Record], str]:
    at = draw.randrange(len(entries))
    entry = entries[at]
    root = entry.name.partition("/")[0]
    name = draw.choice(
        [*names, f"{root}/x", "../x", "/tmp/x", "", "a\x00b", "\x1b[31m", entry.name.upper(), "x" * 70_000]
    )
    name = name[:65_535]
    way = draw.randrange(8)
    if way == 0:
        return entries[:at] + entries[at + 1 :], f"without {entry.name}"
    if way == 1:
        return [*entries, replace(entry, content=entry.content[::-1])], f"{entry.name} twice"
    if way == 2:
        return [*entries[:at], replace(entry, name=name), *entries[at + 1 :]], f"{entry.name} called {name!r:.60}"
    if way == 3:
        return [*entries, Record(name, draw.choice((b"", PICKLE, entry.content)))], f"{name!r:.60} too"
    if way == 4:
        other = draw.randrange(len(entries))
        return [
            replace(each, content=entries[other if index == at else at if index == other else index].content)
            for index, each in enumerate(entries)
        ], f"{entry.name} and {entries[other].name} changed places"
    if way == 5:
        bomb = Record(entry.name, b"\0" * 300_000_000, zipfile.ZIP_DEFLATED)
        return [*entries[:at], bomb, *entries[at + 1 :]], f"300 MB of zeros in {entry.name}"
    if way == 6:
        methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
        return [replace(each, method=draw.choice(methods)) for each in entries], "compressed"
    return [
        replace(each, name=each.name.replace(root, draw.choice(("other", "", "..")), 1)) for each in entries
    ], "moved"


PICKLE = b"\x80\x02czoofuzzcanary\nrun\n)R."  # imports a module that is not there, as soon as it is unpickled


def _other_directory(content: bytes, draw: random.Random) -> tuple[bytes, list[str]]:
    """One number of a local header, of an entry of the directory, or of its end."""
    marks = {LOCAL: LOCAL_FIELDS, CENTRAL: CENTRAL_FIELDS, END: END_FIELDS}
    mark = draw.choice((LOCAL, CENTRAL, CENTRAL, END))
    places = []
    at = content.find(mark)
    while at >= 0:
        places.append(at)
        at = content.find(mark, at + 4)
    name, (offset, form) = draw.choice(list(marks[mark].items()))
    at = draw.choice(places) + offset
    (old,) = struct.unpack_from(form, content, at)
    top = 2 ** (8 * struct.calcsize(form)) - 1
    new = draw.choice((0, 1, old + 1, max(old - 1, 0), old * 2, top, top // 2, 8, 12, 99, 2**31, 2**32 - 2)) & top
    changed = bytearray(content)
    struct.pack_into(form, changed, at, new)
    return bytes(changed), [f"{name} {old} → {new}"]


LOCAL_FIELDS = {
    "version": (4, "<H"),
    "flags": (6, "<H"),
    "method": (8, "<H"),
    "checksum": (14, "<I"),
    "compressed": (18, "<I"),
    "size": (22, "<I"),
    "name length": (26, "<H"),
    "extra length": (28, "<H"),
}
CENTRAL_FIELDS = {
    "flags": (8, "<H"),
    "method": (10, "<H"),
    "checksum": (16, "<I"),
    "compressed": (20, "<I"),
    "size": (24, "<I"),
    "name length": (28, "<H"),
    "extra length": (30, "<H"),
    "comment length": (32, "<H"),
    "disk": (34, "<H"),
    "attributes": (38, "<I"),
    "offset": (42, "<I"),
}
END_FIELDS = {
    "disk": (4, "<H"),
    "directory disk": (6, "<H"),
    "entries here": (8, "<H"),
    "entries": (10, "<H"),
    "directory size": (12, "<I"),
    "directory offset": (16, "<I"),
    "comment length": (20, "<H"),
}


def _parts(content: bytes) -> tuple[bytes, bytes, int]:
    """The records, the directory, and how many there are."""
    end = content.rindex(END)
    count, size, offset = struct.unpack_from("<HII", content, end + 10)
    return content[:offset], content[offset : offset + size], count


def _moved(directory: bytes, by: int) -> bytes:
    """The directory with every offset changed."""
    moved, at = bytearray(directory), 0
    while at < len(moved):
        lengths = struct.unpack_from("<HHH", moved, at + 28)
        (offset,) = struct.unpack_from("<I", moved, at + 42)
        struct.pack_into("<I", moved, at + 42, max(offset + by, 0))
        at += 46 + sum(lengths)
    return bytes(moved)
