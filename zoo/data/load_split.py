"""Make a split ready: held on the device whole where it fits, streamed where it does not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.contract.errors import DataError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import Batches, InMemorySplit, MapDataset, check_labels
from zoo.data.cache import Cache
from zoo.data.reader import MOST_WORKERS, Reader, usable_cores
from zoo.data.scan import BATCH, Moments, Scan, checksum, survey
from zoo.data.streaming import StreamingSplit

MEMORY_LIMIT = 4.0  # GiB of uint8 images of a split that may be held on the device
FEW = 5000  # images that are read sooner than worker processes are started
SAMPLE = 32  # items that are compared with the arrays a data set has


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How splits are read. But for `skip_corrupt`, none of it changes what is read.

    Args:
        workers: processes that read images; `None` takes as many as there are cores, 8 at most, or none where a few
            thousand images are to be held.
        memory_limit: GiB of uint8 images of a split up to which it is held.
        cache: keep what was decoded on the disk, for the next time.
        skip_corrupt: leave out images that cannot be read.
        told: how many of how many images of a split have been read.
    """

    workers: int | None = None
    memory_limit: float = MEMORY_LIMIT
    cache: bool = True
    skip_corrupt: bool = False
    told: Callable[[str, int, int], None] = lambda split, done, n: None


@dataclass(frozen=True)
class Split:
    """A split, looked through.

    Args:
        name: such as `train`.
        batches: its images that can be read.
        total: how many images there are with those that cannot.
        corrupt: why each of the others cannot be read.
        notes: what a person should know of how it was read, a line each.
        checksum: gives that of the pixels and labels of those that can be read, in order.
    """

    name: str
    batches: Batches
    total: int
    checksum: Callable[[], int]
    corrupt: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    found: Moments | None = field(default=None, repr=False)

    def moments(self) -> Moments:
        """The sums over all its pixels."""
        if self.found is not None:
            return self.found
        moments = Moments.none(0)
        for images, _ in self.batches.epoch(BATCH):
            moments = (moments if moments.count else Moments.none(images.shape[1])).and_of(images)
        return moments


def hold(
    dataset: MapDataset,
    preprocess: Preprocess,
    num_classes: int,
    device: torch.device,
    reading: Reading | None = None,
    *,
    name: str = "train",
    source: str = "",
) -> Split:
    """Look through a split and make it ready. What cannot be read is left out of it, and named; see `refuse_corrupt`.

    Args:
        name: of the split.
        source: what tells this split from all others, for the cache; empty for no cache.

    Raises:
        DataError: the split is empty, or a label is out of range.
    """
    reading, n = reading or Reading(), len(dataset)
    if n == 0:
        raise DataError("The data set has no images.", "Check --data-root.")
    labels, arrays = known_labels(dataset), _arrays(dataset)
    if labels is not None:
        check_labels(labels, num_classes)
    fits = n * int(np.prod(preprocess.input_shape)) <= reading.memory_limit * 2**30
    as_wanted = arrays is not None and arrays.shape[1:] == (*preprocess.size, preprocess.channels)
    if fits and as_wanted and labels is not None and arrays is not None:
        stacked = torch.from_numpy(np.ascontiguousarray(arrays.transpose(0, 3, 1, 2)))
        return Split(name, InMemorySplit(stacked.to(device), labels.to(device)), n, partial(checksum, arrays, labels))
    few = fits and n <= FEW
    workers = (0 if few else min(usable_cores(), MOST_WORKERS)) if reading.workers is None else reading.workers
    reader = Reader(dataset, preprocess, workers, pinned=not fits and device.type == "cuda")
    if not fits and arrays is not None and labels is not None:  # nothing in it can be damaged
        return Split(name, StreamingSplit(reader, labels, device), n, partial(checksum, arrays, labels))
    cache = Cache.of(source, dataset, labels, preprocess, with_images=fits) if source and reading.cache else None
    found, images, note = _look_through(reader, cache, reading, name, fits=fits)
    check_labels(found.labels, num_classes)
    corrupt, notes = tuple(found.corrupt.values()), (note,) if note else ()
    batches: Batches
    if images is None:
        batches = StreamingSplit(reader, found.labels, device, found.index(n))
    else:
        reader.close()
        batches = InMemorySplit(images.to(device), found.labels.to(device))
    # of arrays, the same whether they are held or not
    in_memory = None if arrays is None or labels is None else partial(checksum, arrays, labels)
    seen = in_memory or (lambda: found.checksum)
    return Split(name, batches, n, seen, corrupt, notes, found.moments)


def known_labels(dataset: Any) -> Tensor | None:
    """The labels that a data set has as a sequence, `labels` or `targets`; int64 `[N]`, `None` where it has none."""
    for name in ("labels", "targets"):
        given = getattr(dataset, name, None)
        try:
            if given is not None and np.shape(given) == (len(dataset),):
                return torch.from_numpy(np.asarray(given).astype(np.int64, casting="same_kind"))
        except (TypeError, ValueError):
            continue
    return None


def _look_through(
    reader: Reader, cache: Cache | None, reading: Reading, name: str, *, fits: bool
) -> tuple[Scan, Tensor | None, str]:
    stored = cache.read(reader.usable) if cache is not None else None
    if stored is not None and cache is not None:
        return *stored, f"{_what(fits)} read from {cache.path.parent}"
    shape = (len(reader), *reader.preprocess.input_shape)
    images = torch.empty(shape, dtype=torch.uint8) if fits else None
    found = survey(reader, images, lambda done, n: reading.told(name, done, n))
    if images is not None and found.corrupt:
        images = images[: len(found.labels)].clone()
    note = ""
    if cache is not None and (reading.skip_corrupt or not found.corrupt):
        failed = cache.write(found, images)
        kept = f"{_what(fits)} kept in {cache.path.parent}"
        note = kept if failed is None else f"warning: nothing is cached: {failed}"
    return found, images, note


def _what(fits: bool) -> str:
    return "decoded images are" if fits else "what is known of the images is"


def _arrays(dataset: Any) -> "np.ndarray[Any, Any] | None":
    """The images of a data set that lie in memory, uint8 `[N, H, W, C]`."""
    images, labels = getattr(dataset, "images", None), getattr(dataset, "labels", None)
    if not isinstance(images, np.ndarray) or not isinstance(labels, np.ndarray) or images.dtype != np.uint8:
        return None
    images = images[..., None] if images.ndim == 3 else images
    whole = images.ndim == 4 and len(images) == len(labels) == len(dataset)
    return images if whole and _gives(dataset, images, labels) else None


def _gives(dataset: Any, images: "np.ndarray[Any, Any]", labels: "np.ndarray[Any, Any]") -> bool:
    """Whether a data set's items are what lies in its arrays, by some of them: its own code may change them."""
    try:
        for index in np.linspace(0, len(labels) - 1, min(len(labels), SAMPLE)).astype(int).tolist():
            image, label = dataset[index]
            if int(label) != int(labels[index]) or not np.array_equal(np.atleast_3d(image), images[index]):
                return False
    except Exception:  # whoever reads it whole says what is wrong
        return False
    return True
