"""Read every image of a split once: labels, pixel statistics, corrupt images, and a checksum."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.reader import Reader

BATCH_SIZE = 256
SUM_BATCH_SIZE = 16  # images whose pixels are converted to int32 at a time


@dataclass(frozen=True)
class Moments:
    """Sums over all pixels, for mean and standard deviation. They are integers: the order of images has no effect.

    Args:
        count: pixels per channel.
        sums, squares: sums of the values 0 to 255 and of their squares, int64 `[C]`.
    """

    count: int
    sums: Tensor
    squares: Tensor

    @classmethod
    def zeros(cls, channels: int) -> "Moments":
        """The moments of no images."""
        return cls(0, torch.zeros(channels, dtype=torch.int64), torch.zeros(channels, dtype=torch.int64))

    def add(self, images: Tensor) -> "Moments":
        """Return these moments plus those of `images`, uint8 `[B, C, H, W]`."""
        count, sums, squares = self.count, self.sums, self.squares
        for part in torch.split(images, SUM_BATCH_SIZE) if len(images) else ():
            # NumPy's sums are faster here, and glibc before 2.38 often does not reuse PyTorch's aligned blocks
            pixels = part.cpu().numpy().swapaxes(0, 1).reshape(part.shape[1], -1).astype(np.int32)
            count += pixels.shape[1]
            sums = sums + torch.from_numpy(pixels.sum(1, dtype=np.int64))
            squares = squares + torch.from_numpy(np.square(pixels).sum(1, dtype=np.int64))
        return Moments(count, sums, squares)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return the mean and std of each channel on 0 to 1, rounded to 4 decimals. The std is at least 1/255."""
        mean = self.sums.double() / self.count / 255
        variance = self.squares.double() / self.count / 255**2 - mean.square()
        std = variance.clamp(min=1 / 255**2).sqrt()
        return tuple(round(value, 4) for value in mean.tolist()), tuple(round(value, 4) for value in std.tolist())


@dataclass(frozen=True)
class Scan:
    """The result of a scan.

    Args:
        labels: of the images that can be read, int64 `[N]`.
        corrupt: maps the index of each image that cannot be read to the cause, in order.
        moments: of the images that can be read; `None` if the pixels were not read.
        checksum: of their pixels and labels, in order; see `checksum`.
    """

    labels: Tensor
    corrupt: Mapping[int, str]
    moments: Moments | None
    checksum: int

    def index(self, n: int) -> Tensor | None:
        """Return the indices of those of `n` images that can be read, int64; `None` if all can."""
        if not self.corrupt:
            return None
        readable = torch.ones(n, dtype=torch.bool)
        readable[list(self.corrupt)] = False
        return readable.nonzero().flatten()


def scan_split(
    reader: Reader, out: Tensor | None, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Scan:
    """Read every image once.

    Args:
        out: uint8 `[N, C, H, W]`; the images that can be read are written to its beginning. `None` keeps no image.
        on_progress: called with the number of images read and the total.

    Raises:
        DataError: a worker process was killed.
    """
    n, done, good = len(reader), 0, 0
    labels, corrupt = torch.empty(n, dtype=torch.int64), dict[int, str]()
    moments, crc = Moments.zeros(reader.preprocess.channels), 0
    for images, classes, failed in reader.batches(torch.arange(n), BATCH_SIZE):
        labels[good : good + len(classes)] = classes
        if out is not None and len(classes):
            out[good : good + len(classes)] = images
        corrupt |= {done + position: error.cause for position, error in failed}
        moments, crc = moments.add(images), zlib.crc32(images.numpy().data, crc)
        good += len(classes)
        done += len(classes) + len(failed)
        on_progress(done, n)
    labels = labels[:good].clone()
    return Scan(labels, corrupt, moments, zlib.crc32(labels.numpy().data, crc))


def checksum(pixels: "np.ndarray[Any, Any]", labels: Tensor) -> int:
    """Return the CRC-32 of uint8 images followed by their labels, int64 `[N]`.

    It detects changed data, not data that was crafted to have the same checksum.
    """
    crc = 0
    for part in np.array_split(pixels, 1 + pixels.nbytes // 2**26):  # a memory-mapped file is copied in parts
        crc = zlib.crc32(np.ascontiguousarray(part).data, crc)
    return zlib.crc32(labels.cpu().numpy().data, crc)
