"""Both splits of a data set as one, to evaluate on every image that there is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from zoo.contract.errors import MissingSplit
from zoo.data.batches import MapDataset
from zoo.data.datasets import image_files, plugin_notes
from zoo.data.load_split import known_labels

SPLITS = ("train", "test")


@dataclass(frozen=True, eq=False)
class JoinedDataset:
    """A map-style data set of the images of several, one after the other.

    Args:
        parts: data sets with the same class indices.
    """

    parts: Sequence[MapDataset]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, index: int) -> tuple[Any, int]:
        for part in self.parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(index)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names of the part that has the most."""
        return max((tuple(getattr(part, "classes", ())) for part in self.parts), key=len)

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the files of the parts."""
        return tuple(dict.fromkeys(note for part in self.parts for note in plugin_notes(part)))

    @property
    def labels(self) -> "np.ndarray[Any, Any] | None":
        """The class of each image, int64 `[N]`, if all parts know theirs."""
        known: list[Tensor | None] = [known_labels(part) for part in self.parts]
        labels = [one.numpy() for one in known if one is not None]
        return np.concatenate(labels) if len(labels) == len(known) else None

    @property
    def files(self) -> Sequence[Any] | None:
        """The path of each image, if all parts know theirs."""
        known = [image_files(part) for part in self.parts]
        return [file for part in known for file in part] if all(map(len, known)) else None


def load_all(load: Callable[[str], MapDataset]) -> MapDataset:
    """The images of both splits; those of one, if there are none of the other.

    Args:
        load: loads a split by its name.

    Raises:
        MissingSplit: there are no images of either.
        DataError: as `load`.
    """
    parts, missing = list[MapDataset](), list[MissingSplit]()
    for split in SPLITS:
        try:
            parts.append(load(split))
        except MissingSplit as error:
            missing.append(error)
    if not parts:
        raise missing[0]
    return parts[0] if len(parts) == 1 else JoinedDataset(parts)
