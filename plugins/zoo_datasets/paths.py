"""Very many paths in little memory."""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload


class PathList(Sequence[Path]):
    """Paths below a folder, kept as one text with the places where each ends.

    A million `Path` objects take a gigabyte. Worker processes would each come to have a copy, since to look at a Python
    object is to write to it; this they share.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._text, self._ends = bytearray(), array("q", [0])

    def extend(self, folder: Path, below: Iterable[str]) -> None:
        """Add paths that are given below `folder`, which is itself below the root."""
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
            return tuple(self[place] for place in range(*index.indices(len(self))))
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(index)
        return self._root / os.fsdecode(bytes(self._text[self._ends[place] : self._ends[place + 1]]))

    def __iter__(self) -> Iterator[Path]:
        return (self[place] for place in range(len(self)))
