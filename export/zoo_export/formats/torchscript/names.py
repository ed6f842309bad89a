"""The numbers that PyTorch gives to classes of one name, replaced by their ranks.

They come from a counter of the process. Only names are changed: no texts that the model itself holds.
"""

import pickletools
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

NUMBERED = re.compile(rb"___torch_mangle_(\d+)")  # the name of a class, or of a module of its own for it
TEXT_OR_NUMBERED = re.compile(rb'"(?:[^"\\\n]|\\.)*"|___torch_mangle_(\d+)')


class Renumbering:
    """The renumbering of an archive.

    Args:
        records: all of its records, by name.
    """

    def __init__(self, records: Mapping[str, bytes]) -> None:
        parts = [
            *map(str.encode, records),
            *(part for name, record in records.items() for part in _names(name, record)),
        ]
        numbers = {int(number) for part in parts for number in NUMBERED.findall(part)}
        self._ranks = {b"%d" % number: b"___torch_mangle_%d" % rank for rank, number in enumerate(sorted(numbers))}

    def name(self, name: str) -> str:
        """The new name of a record."""
        return self._renumber(name.encode()).decode()

    def record(self, name: str, record: bytes) -> bytes:
        """The new content of a record; of tensors, and of records without such names, the same bytes."""
        if name.endswith(".py"):
            return TEXT_OR_NUMBERED.sub(lambda match: self._ranks[match[1]] if match[1] else match[0], record)
        if name.endswith(".pkl"):
            return b"".join(self._renumber(part) if is_name else part for is_name, part in _instructions(record))
        return record

    def _renumber(self, text: bytes) -> bytes:
        return NUMBERED.sub(lambda match: self._ranks[match[1]], text)


def _names(name: str, record: bytes) -> Iterator[bytes]:
    """The parts of a record that may hold names of classes."""
    if name.endswith(".py"):
        yield from (match[0] for match in TEXT_OR_NUMBERED.finditer(record) if match[1])
    elif name.endswith(".pkl"):
        yield from (part for is_name, part in _instructions(record) if is_name)


def _instructions(pickle: bytes) -> Iterator[tuple[bool, bytes]]:
    """The instructions of a pickle, and whether each names a class, on lines of its own without a length."""
    steps = [(opcode.name, start) for opcode, _, start in pickletools.genops(pickle)]
    for (opcode, start), (_, end) in pairwise([*steps, ("", len(pickle))]):
        yield opcode == "GLOBAL", pickle[start:end]
