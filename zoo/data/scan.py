"""What is known of a split once every image was read: its labels, its pixels' statistics, and what cannot be read."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.reader import Reader

BATCH = 256  # images
AT_ONCE = 16  # images whose pixels are widened to be summed


@dataclass(frozen=True)
class Moments:
    """Sums over all pixels, for mean and standard deviation. Whole numbers: no order of images changes them.

    Args:
        count: pixels of a channel.
        sums, squares: of their values from 0 to 255, int64 `[C]`.
    """

    count: int
    sums: Tensor
    squares: Tensor

    @classmethod
    def none(cls, channels: int) -> "Moments":
        """Those of no image."""
        return cls(0, torch.zeros(channels, dtype=torch.int64), torch.zeros(channels, dtype=torch.int64))

    def and_of(self, images: Tensor) -> "Moments":
        """These and those of more images, uint8 `[B, C, H, W]`."""
        count, sums, squares = self.count, self.sums, self.squares
        for part in torch.split(images, AT_ONCE) if len(images) else ():
            # NumPy's sums are faster here, and glibc before 2.38 often fails to use PyTorch's aligned blocks again
            pixels = part.cpu().numpy().swapaxes(0, 1).reshape(part.shape[1], -1).astype(np.int32)
            count += pixels.shape[1]
            sums = sums + torch.from_numpy(pixels.sum(1, dtype=np.int64))
            squares = squares + torch.from_numpy(np.square(pixels).sum(1, dtype=np.int64))
        return Moments(count, sums, squares)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Of each channel on 0 to 1, to 4 decimals; the standard deviation is 1/255 at least."""
        mean = self.sums.double() / self.count / 255
        variance = self.squares.double() / self.count / 255**2 - mean.square()
        std = variance.clamp(min=1 / 255**2).sqrt()
        return tuple(round(value, 4) for value in mean.tolist()), tuple(round(value, 4) for value in std.tolist())


@dataclass(frozen=True)
class Scan:
    """What was found.

    Args:
        labels: of the images that can be read, int64 `[N]`.
        corrupt: index in the data set to why it cannot be read, in order.
        moments: of the images that can be read; `None` where nobody looked at the pixels.
        checksum: of their pixels and labels, in order; see `checksum`.
    """

    labels: Tensor
    corrupt: Mapping[int, str]
    moments: Moments | None
    checksum: int

    def index(self, n: int) -> Tensor | None:
        """Which of `n` images can be read, int64; `None` where all can."""
        if not self.corrupt:
            return None
        good = torch.ones(n, dtype=torch.bool)
        good[list(self.corrupt)] = False
        return good.nonzero().flatten()


def survey(reader: Reader, into: Tensor | None, told: Callable[[int, int], None] = lambda done, n: None) -> Scan:
    """Read every image once.

    Args:
        into: uint8 `[N, C, H, W]`, whose first images become those that can be read; `None` keeps none.
        told: how many of how many are done.

    Raises:
        DataError: a worker process was killed.
    """
    n, done, good = len(reader), 0, 0
    labels, corrupt = torch.empty(n, dtype=torch.int64), dict[int, str]()
    moments, seen = Moments.none(reader.preprocess.channels), 0
    for images, classes, failed in reader.batches(torch.arange(n), BATCH):
        labels[good : good + len(classes)] = classes
        if into is not None and len(classes):
            into[good : good + len(classes)] = images
        corrupt |= {done + place: error.cause for place, error in failed}
        moments, seen = moments.and_of(images), zlib.crc32(images.numpy().data, seen)
        good += len(classes)
        done += len(classes) + len(failed)
        told(done, n)
    labels = labels[:good].clone()
    return Scan(labels, corrupt, moments, zlib.crc32(labels.numpy().data, seen))


def checksum(pixels: "np.ndarray[Any, Any]", labels: Tensor) -> int:
    """The CRC-32 of uint8 images, then of their labels, int64 `[N]`: tells other data, not data made to look alike."""
    seen = 0
    for part in np.array_split(pixels, 1 + pixels.nbytes // 2**26):  # what is mapped from a file is not copied whole
        seen = zlib.crc32(np.ascontiguousarray(part).data, seen)
    return zlib.crc32(labels.cpu().numpy().data, seen)
