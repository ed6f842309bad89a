"""A split whose classes are some of a model's, in an order of their own, with the model's class indices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo.data.batches import Batch, Batches


@dataclass(frozen=True)
class RelabelledSplit:
    """A split with other class indices.

    Args:
        split: whose images these are.
        classes: the new index of each of its classes, int64 `[K]`, on the device of the split.
    """

    split: Batches
    classes: Tensor

    @property
    def n(self) -> int:
        return self.split.n

    @property
    def labels(self) -> Tensor:
        return self.classes[self.split.labels.to(self.classes.device)]

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """As `Batches.epoch`."""
        for images, labels in self.split.epoch(batch_size, order):
            yield images, self.classes[labels]


def class_positions(classes: Sequence[str], labels: Sequence[str]) -> list[int] | None:
    """The position of each of `classes` in `labels`; `None` if one of them is missing there, or there twice."""
    positions: dict[str, int] = {}
    twice = set()
    for position, label in enumerate(labels):
        if label in positions:
            twice.add(label)
        positions[label] = position
    if any(name not in positions or name in twice for name in classes):
        return None
    return [positions[name] for name in classes]
