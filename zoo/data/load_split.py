"""Load a split: into memory on the device if it fits, else as a stream from disk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.contract.errors import DataError, refuse_out_of_memory
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import Batches, InMemorySplit, MapDataset, check_labels
from zoo.data.cache import Cache
from zoo.data.read_options import ReadOptions
from zoo.data.reader import MAX_WORKERS, Reader, usable_cores
from zoo.data.scan import BATCH_SIZE, Moments, Scan, checksum, scan_split
from zoo.data.streaming import StreamingSplit

SMALL = 5000  # images that one process reads faster than worker processes start
COMPARED = 32  # items compared with the arrays of a data set


@dataclass(frozen=True)
class LoadedSplit:
    """A split of which every image was read once.

    Args:
        name: `train` or `test`.
        batches: the images that can be read.
        total: the number of images, corrupt ones included.
        checksum: returns the checksum of the pixels and labels of `batches`, in order.
        corrupt: the cause for each image that cannot be read.
        index: the index of each image of `batches` in the data set, int64 `[N]`; `None` if it is the whole data set.
        notes: remarks for the user on how the split was read, a line each.
    """

    name: str
    batches: Batches
    total: int
    checksum: Callable[[], int]
    corrupt: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    known_moments: Moments | None = field(default=None, repr=False)
    index: Tensor | None = field(default=None, repr=False)

    def moments(self) -> Moments:
        """Return the sums over all pixels."""
        if self.known_moments is not None:
            return self.known_moments
        moments = Moments.zeros(0)
        for images, _ in self.batches.epoch(BATCH_SIZE):
            moments = (moments if moments.count else Moments.zeros(images.shape[1])).add(images)
        return moments


def load_split(
    dataset: MapDataset,
    preprocess: Preprocess,
    num_classes: int,
    device: torch.device,
    options: ReadOptions | None = None,
    *,
    name: str = "train",
    source: str = "",
) -> LoadedSplit:
    """Load a split. Corrupt images are left out and listed in the result; see `zoo.data.corrupt`.

    Args:
        name: of the split.
        source: identifies the split in the cache; an empty string disables the cache.

    Raises:
        DataError: the split is empty, or a label is out of range.
    """
    options, n = options or ReadOptions(), len(dataset)
    if n == 0:
        raise DataError("The data set has no images.", "Check --data-root.")
    labels, arrays = known_labels(dataset), _arrays(dataset)
    if labels is not None:
        check_labels(labels, num_classes)
    fits = n * int(np.prod(preprocess.input_shape)) <= options.memory_limit * 2**30
    same_shape = arrays is not None and arrays.shape[1:] == (*preprocess.size, preprocess.channels)
    if fits and same_shape and labels is not None and arrays is not None:
        stacked = torch.from_numpy(np.ascontiguousarray(arrays.transpose(0, 3, 1, 2)))
        in_memory = InMemorySplit(stacked.to(device), labels.to(device))
        return LoadedSplit(name, in_memory, n, partial(checksum, arrays, labels))
    small = fits and n <= SMALL
    workers = (0 if small else min(usable_cores(), MAX_WORKERS)) if options.workers is None else options.workers
    reader = Reader(dataset, preprocess, workers, pinned=not fits and device.type == "cuda")
    if not fits and arrays is not None and labels is not None:  # arrays need no scan: they hold no corrupt image
        return LoadedSplit(name, StreamingSplit(reader, labels, device), n, partial(checksum, arrays, labels))
    cache = Cache.of(source, dataset, labels, preprocess, with_images=fits) if source and options.cache else None
    scan, images, note = _scan(reader, cache, options, name, fits=fits)
    check_labels(scan.labels, num_classes)
    corrupt, notes = tuple(scan.corrupt.values()), (note,) if note else ()
    batches: Batches
    if images is None:
        batches = StreamingSplit(reader, scan.labels, device, scan.index(n))
    else:
        reader.close()
        batches = InMemorySplit(images.to(device), scan.labels.to(device))
    # the checksum of arrays is of the arrays themselves, so that it does not depend on the memory limit
    of_arrays = None if arrays is None or labels is None else partial(checksum, arrays, labels)
    of_scan = of_arrays or (lambda: scan.checksum)
    return LoadedSplit(name, batches, n, of_scan, corrupt, notes, scan.moments, scan.index(n))


def known_labels(dataset: Any) -> Tensor | None:
    """Return the data set's attribute `labels` or `targets` as int64 `[N]`; `None` if it has neither."""
    for name in ("labels", "targets"):
        values = getattr(dataset, name, None)
        try:
            if values is not None and np.shape(values) == (len(dataset),):
                return torch.from_numpy(np.asarray(values).astype(np.int64, casting="same_kind"))
        except (TypeError, ValueError):
            continue
    return None


def _scan(
    reader: Reader, cache: Cache | None, options: ReadOptions, name: str, *, fits: bool
) -> tuple[Scan, Tensor | None, str]:
    """Take the scan and the images from the cache, or read every image and write them to the cache."""
    content = "decoded images are" if fits else "labels and statistics of the images are"
    cached = cache.read(reader.can_read) if cache is not None else None
    if cached is not None and cache is not None:
        return *cached, f"{content} read from {cache.path.parent}"
    shape = (len(reader), *reader.preprocess.input_shape)
    images = torch.empty(shape, dtype=torch.uint8) if fits else None
    scan = scan_split(reader, images, lambda done, total: options.on_progress(name, done, total))
    if images is not None and scan.corrupt:
        images = images[: len(scan.labels)].clone()
    note = ""
    if cache is not None and (options.skip_corrupt or not scan.corrupt):
        failure = cache.write(scan, images)
        note = (
            f"{content} cached in {cache.path.parent}" if failure is None else f"warning: nothing is cached: {failure}"
        )
    return scan, images, note


def _arrays(dataset: Any) -> "np.ndarray[Any, Any] | None":
    """Return the images of a data set that is in memory, uint8 `[N, H, W, C]`."""
    images, labels = getattr(dataset, "images", None), getattr(dataset, "labels", None)
    if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray) or images.dtype != np.uint8:
        return None
    images = images[..., None] if images.ndim == 3 else images
    complete = images.ndim == 4 and len(images) == len(labels) == len(dataset)
    return images if complete and _items_match(dataset, images, labels) else None


def _items_match(dataset: Any, images: "np.ndarray[Any, Any]", labels: "np.ndarray[Any, Any]") -> bool:
    """Compare some items with the arrays: `__getitem__` may transform them."""
    try:
        for index in np.linspace(0, len(labels) - 1, min(len(labels), COMPARED)).astype(int).tolist():
            image, label = dataset[index]
            if int(label) != int(labels[index]) or not np.array_equal(np.atleast_3d(image), images[index]):
                return False
    except Exception as error:  # the scan reads the same item and reports the error
        refuse_out_of_memory(error)
        return False
    return True
