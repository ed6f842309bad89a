"""Labelled images as batches on the device, and what a data set gives them from."""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.contract.errors import DataError, ZooError

Batch = tuple[Tensor, Tensor]  # images uint8 [B, C, H, W], class indices int64 [B]


class MapDataset(Protocol):
    """A map-style data set of (image, class index)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> tuple[Any, int]: ...


class Batches(Protocol):
    """One split, ready to be gone through any number of times, once at a time."""

    @property
    def n(self) -> int:
        """The number of images."""

    @property
    def labels(self) -> Tensor:
        """The class of each image, int64 `[N]`, in the stored order, on any device."""

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """Batches in the given order of indices (int64 `[M]`), or in the stored order; the last may be smaller."""


@dataclass(frozen=True)
class InMemorySplit:
    """A split held as one uint8 tensor `[N, C, H, W]` on the device."""

    images: Tensor
    labels: Tensor

    @property
    def n(self) -> int:
        return len(self.labels)

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        if order is None:
            yield from zip(torch.split(self.images, batch_size), torch.split(self.labels, batch_size), strict=True)
            return
        for chosen in torch.split(order.to(self.labels.device), batch_size):
            yield self.images.index_select(0, chosen), self.labels.index_select(0, chosen)


def read_item(dataset: MapDataset, index: int) -> tuple[Any, int]:
    """One image and its class index, as the data set gives them.

    Raises:
        DataError: the data set's code raised, or gave something else.
    """
    try:
        image, label = dataset[index]
        if not hasattr(label, "__index__") or (isinstance(label, Tensor) and label.is_floating_point()):
            raise DataError(
                f"The data set gave image {index} the label {str(label)[:60]!r}, which is no whole number.",
                "Correct the plugin that provides the data set.",
            )
        return image, int(torch.tensor(operator.index(label)))
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"The data set raised {type(error).__name__} for image {index}: {error}",
            "Check the files at --data-root, or the plugin that provides the data set.",
        ) from error


def label_counts(batches: Batches, num_classes: int) -> list[int]:
    """How many images of each class there are."""
    counts: list[int] = torch.bincount(batches.labels.cpu(), minlength=num_classes).tolist()
    return counts


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Raise `DataError` where a label is no class: on a GPU it would take the process down."""
    if not len(labels):
        return
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= num_classes:
        raise DataError(
            f"The data set has the label {lowest if lowest < 0 else highest}, and {num_classes} classes from 0.",
            "Correct the labels, or the class names that the data set declares.",
        )
