"""Labelled images as batches on the device: held there whole where they fit, streamed where they do not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from zoo.errors import DataError, ZooError
from zoo.images import fit_image
from zoo.preprocess import Preprocess

RESIDENT_LIMIT = 4 * 2**30  # bytes of uint8 images that may be held on the device
Batch = tuple[Tensor, Tensor]  # images uint8 [B, C, H, W], class indices int64 [B]


class Labelled(Protocol):
    """A map-style data set of (image, class index)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> tuple[Any, int]: ...


class Batches(Protocol):
    """One split, ready to be gone through any number of times."""

    @property
    def n(self) -> int:
        """The number of images."""

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """Batches in the given order of indices (int64 `[M]`), or in the stored order; the last may be smaller."""


@dataclass
class Resident:
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
            yield self.images[chosen], self.labels[chosen]


@dataclass
class Streamed:
    """A split whose images are read, resized and cropped as they are asked for, by worker processes."""

    dataset: Labelled
    preprocess: Preprocess
    num_classes: int
    device: torch.device
    workers: int = 0

    @property
    def n(self) -> int:
        return len(self.dataset)

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        order = torch.arange(self.n) if order is None else order
        loader: DataLoader[Any] = DataLoader(
            _Fitted(self.dataset, self.preprocess, self.num_classes),  # type: ignore[arg-type]
            batch_sampler=[chunk.tolist() for chunk in torch.split(order, batch_size)],
            num_workers=self.workers,
            collate_fn=_collate,
            pin_memory=self.device.type == "cuda",
        )
        for item in _watched(loader):
            if isinstance(item, ZooError):
                raise item
            yield item[0].to(self.device, non_blocking=True), item[1].to(self.device, non_blocking=True)


def _watched(loader: "DataLoader[Any]") -> Iterator[Any]:
    items = iter(loader)
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except RuntimeError as error:  # its workers hand over whatever else goes wrong
            raise DataError(
                f"A process that reads images came to an end: {error}",
                "It may have run out of memory: say fewer --workers, or --workers 0 to do without.",
            ) from error
        yield item


def hold(dataset: Labelled, preprocess: Preprocess, num_classes: int, device: torch.device, workers: int) -> Batches:
    """`Resident` where the split fits into `RESIDENT_LIMIT`, else `Streamed`.

    Raises:
        DataError: the split is empty, an image cannot be read, or a label is out of range.
    """
    if len(dataset) == 0:
        raise DataError("The data set has no images.", "Check --data-root.")
    streamed = Streamed(dataset, preprocess, num_classes, torch.device("cpu"), workers if len(dataset) > 5000 else 0)
    if len(dataset) * int(np.prod(preprocess.input_shape)) > RESIDENT_LIMIT:
        streamed.device = device
        return streamed
    images, labels = _array_backed(dataset, preprocess) or zip(*streamed.epoch(256), strict=True)
    held = Resident(torch.cat(tuple(images)), torch.cat(tuple(labels)))
    _check_labels(held.labels, num_classes)
    return Resident(held.images.to(device), held.labels.to(device))


def read_item(dataset: Labelled, index: int) -> tuple[Any, int]:
    """One image and its class index, as the data set gives them.

    Raises:
        DataError: the data set's code raised, or gave something else.
    """
    try:
        image, label = dataset[index]
        return image, int(torch.tensor(int(label)))
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"The data set raised {type(error).__name__} for image {index}: {error}",
            "Check the files at --data-root, or the plugin that provides the data set.",
        ) from error


def _array_backed(dataset: Any, preprocess: Preprocess) -> tuple[list[Tensor], list[Tensor]] | None:
    images, labels = getattr(dataset, "images", None), getattr(dataset, "labels", None)
    if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray) or images.dtype != np.uint8:
        return None
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[1:] != (*preprocess.size, preprocess.channels) or len(images) != len(labels):
        return None
    stacked = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return [stacked], [torch.from_numpy(labels.astype(np.int64))]


@dataclass
class _Fitted:
    dataset: Labelled
    preprocess: Preprocess
    num_classes: int

    def __getitem__(self, index: int) -> Any:
        try:
            image, label = read_item(self.dataset, index)
            fitted = torch.from_numpy(fit_image(image, self.preprocess))
            _check_labels(torch.tensor([label]), self.num_classes)
            return fitted, label
        except ZooError as error:  # a worker process can send it on, but not raise it
            return error


def _collate(items: list[Any]) -> Any:
    failed = [item for item in items if isinstance(item, ZooError)]
    if failed:
        return failed[0]
    return torch.stack([image for image, _ in items]), torch.tensor([label for _, label in items])


def _check_labels(labels: Tensor, num_classes: int) -> None:
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= num_classes:
        raise DataError(
            f"The data set has the label {lowest if lowest < 0 else highest}, and {num_classes} classes from 0.",
            "Correct the labels, or the class names that the data set declares.",
        )
