"""A split that is too large to be held: its images are read again in each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.contract.errors import DataError
from zoo.data.batches import Batch
from zoo.data.reader import Reader


@dataclass(frozen=True)
class StreamingSplit:
    """A split whose images are read, resized and cropped as they are asked for, ahead of the model.

    Args:
        labels: the class of each image, int64 `[N]`, on the CPU.
        index: which images of the data set these are, int64 `[N]`; `None` where they are all.
    """

    reader: Reader
    labels: Tensor
    device: torch.device
    index: Tensor | None = None

    @property
    def n(self) -> int:
        return len(self.labels)

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """As `Batches.epoch`.

        Raises:
            DataError: an image cannot be read, or is of another class than it was.
        """
        order = torch.arange(self.n) if order is None else order
        chosen = order if self.index is None else self.index[order]
        done = 0
        for images, labels, failed in self.reader.batches(chosen, batch_size):
            if failed:
                raise failed[0][1]
            if not torch.equal(labels, self.labels[order[done : done + batch_size]]):
                raise DataError(
                    "An image of the data set is of another class than when it was first looked through.",
                    "Leave the data as it is while it is used, and start again.",
                )
            done += batch_size
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
