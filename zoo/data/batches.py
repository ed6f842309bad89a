"""A split as batches of labelled images on the device, and the map-style data set that it is read from."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.contract.callback import LabelledSplit
from zoo.contract.errors import DataError, ZooError, refuse_out_of_memory
from zoo.contract.wording.author_code import SHOW_TRACEBACK, in_author_code

Batch = tuple[Tensor, Tensor]  # images uint8 [B, C, H, W], class indices int64 [B]


class MapDataset(Protocol):
    """A map-style data set of (image, class index)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> tuple[Any, int]: ...


class Batches(Protocol):
    """One split. It can be iterated over any number of times, one iteration at a time."""

    @property
    def n(self) -> int:
        """The number of images."""

    @property
    def labels(self) -> Tensor:
        """The class index of each image, int64 `[N]`, in stored order, on any device."""

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """Yield batches of the images with the indices `order` (int64 `[M]`), in that order.

        The default is every image in stored order. The last batch may be smaller.
        """


@dataclass(frozen=True)
class InMemorySplit:
    """A split in memory: one uint8 tensor `[N, C, H, W]` on the device."""

    images: Tensor
    labels: Tensor

    @property
    def n(self) -> int:
        return len(self.labels)

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        if order is None:
            yield from zip(torch.split(self.images, batch_size), torch.split(self.labels, batch_size), strict=True)
            return
        for indices in torch.split(order.to(self.labels.device), batch_size):
            yield self.images.index_select(0, indices), self.labels.index_select(0, indices)


def read_item(dataset: MapDataset, index: int) -> tuple[Any, int]:
    """Return one image and its class index, as the data set returns them.

    Raises:
        DataError: the data set's code raised an exception, or the label is not an integer.
    """
    try:
        image, label = dataset[index]
        if not hasattr(label, "__index__") or (isinstance(label, Tensor) and label.is_floating_point()):
            raise DataError(
                f"The data set returned the label {str(label)[:60]!r} for image {index}, which is not an integer.",
                "Correct the plugin that provides the data set.",
            )
        return image, int(torch.tensor(operator.index(label)))
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        refuse_out_of_memory(error)
        raise DataError(
            f"The data set raised {type(error).__name__} for image {index}: {error}{in_author_code(error)}",
            f"Check the files in --data-root, or the plugin that provides the data set; {SHOW_TRACEBACK}",
        ) from error


def label_counts(split: LabelledSplit, num_classes: int) -> list[int]:
    """Return the number of images of each class."""
    counts: list[int] = torch.bincount(split.labels.cpu(), minlength=num_classes).tolist()
    return counts


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Check that every label is in `[0, num_classes)`. On a GPU, a label out of range would end the process.

    Raises:
        DataError: a label is out of range.
    """
    if not len(labels):
        return
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= num_classes:
        raise DataError(
            f"The data set has the label {lowest if lowest < 0 else highest}, but only {num_classes} classes, "
            "numbered from 0.",
            "Correct the labels, or the class names that the data set declares.",
        )
