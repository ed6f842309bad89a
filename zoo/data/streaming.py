"""A split that does not fit in memory: its images are read again in every epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.contract.errors import DataError
from zoo.data.batches import Batch
from zoo.data.reader import Reader


@dataclass(frozen=True)
class StreamingSplit:
    """A split whose images are read, resized and cropped in every epoch, prefetched by the reader's workers.

    Args:
        labels: the class index of each image, int64 `[N]`, on the CPU.
        index: the index of each image in the data set, int64 `[N]`; `None` if the split is the whole data set.
    """

    reader: Reader
    labels: Tensor
    device: torch.device
    index: Tensor | None = None

    @property
    def n(self) -> int:
        return len(self.labels)

    def epoch(self, batch_size: int, order: Tensor | None = None) -> Iterator[Batch]:
        """Like `Batches.epoch`.

        Raises:
            DataError: an image cannot be read, or its label has changed.
        """
        order = torch.arange(self.n) if order is None else order
        indices = order if self.index is None else self.index[order]
        done = 0
        for images, labels, failed in self.reader.batches(indices, batch_size):
            if failed:
                raise failed[0][1]
            if not torch.equal(labels, self.labels[order[done : done + batch_size]]):
                raise DataError(
                    "The label of an image changed after the data set was loaded.",
                    "Do not change the data set while it is used, and start again.",
                )
            done += batch_size
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
