"""Very many paths in little memory."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np


class PathList(Sequence[Path]):
    """Paths below a folder, kept as one text with the places where each ends.

    A million `Path` objects take a gigabyte. Worker processes would each come to have a copy, since to look at a Python
    object is to write to it; they share these two arrays.
    """

    def __init__(self, root: Path, paths: Iterable[Path]) -> None:
        self._root = root
        text, ends = bytearray(), [0]
        for path in paths:
            text += os.fsencode(path.relative_to(root))
            ends.append(len(text))
        self._text = np.frombuffer(bytes(text), dtype=np.uint8)
        self._ends = np.array(ends, dtype=np.int64)

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
        begin, end = self._ends[place : place + 2]
        return self._root / os.fsdecode(self._text[begin:end].tobytes())

    def __iter__(self) -> Iterator[Path]:
        return (self[place] for place in range(len(self)))
