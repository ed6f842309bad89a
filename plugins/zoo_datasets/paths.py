"""A compact list of paths."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload


class CompactPaths(Sequence[Path]):
    """Paths below a folder, stored as one byte string and an array of offsets.

    A million `Path` objects take a gigabyte, and every worker process would copy them: reading a Python object writes
    its reference count. Workers share the memory of this list.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._text, self._ends = bytearray(), array("q", [0])

    def extend(self, folder: Path, below: Iterable[str]) -> None:
        """Append paths relative to `folder`, which is relative to the root."""
        start = os.fsencode(folder / "_")[:-1]
        for name in below:
            self._text += start + os.fsencode(name)
            self._ends.append(len(self._text))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Path, ...]: ...
    def __getitem__(self, index: int | slice) -> Path | tuple[Path, ...]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(index)
        return self._root / os.fsdecode(bytes(self._text[self._ends[position] : self._ends[position + 1]]))

    def __iter__(self) -> Iterator[Path]:
        return (self[position] for position in range(len(self)))
