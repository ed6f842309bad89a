"""Images of a data set, read, resized and cropped in batches, by worker processes that stay from epoch to epoch."""

import gc
import math
import os
import sys
from collections.abc import Iterator
from multiprocessing import AuthenticationError
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from zoo.contract.errors import DataError, ZooError
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import MapDataset, read_item
from zoo.data.images import fit_image

MOST_WORKERS = 8  # where nobody says how many
AHEAD = 2  # batches that each worker has ready

# images uint8 [G, C, H, W] and labels int64 [G] of those that could be read; places in the batch and errors of the rest
Read = tuple[Tensor, Tensor, tuple[tuple[int, ZooError], ...]]


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Reader:
    """Reads a data set.

    Args:
        workers: processes that read. They start at the first batch and stay until `close`; 0 reads in this process.
        pinned: give batches in memory from which a GPU copies by itself.
    """

    def __init__(self, dataset: MapDataset, preprocess: Preprocess, workers: int, *, pinned: bool = False) -> None:
        self.dataset, self.preprocess = dataset, preprocess
        self._workers, self._pinned = workers, pinned
        self._chunks = _Chunks()
        self._loader: DataLoader[Any] | None = None
        self._turn = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def batches(self, index: Tensor, batch_size: int) -> Iterator[Read]:
        """The images of the given indices (int64 `[M]`), in that order. Whoever asks again ends what went before.

        Raises:
            DataError: a worker process was killed, or has no room to hand images over.
        """
        self._turn += 1
        turn = self._turn
        self._chunks.index, self._chunks.size = index, batch_size
        if self._loader is None:
            self._loader = DataLoader(
                _Fitted(self.dataset, self.preprocess),  # type: ignore[arg-type]
                batch_sampler=self._chunks,
                num_workers=self._workers,
                collate_fn=_as_it_is,  # type: ignore[arg-type]
                pin_memory=self._pinned,
                persistent_workers=self._workers > 0,
                prefetch_factor=AHEAD if self._workers else None,
                worker_init_fn=_settle_in,
                generator=torch.Generator(),  # else each epoch would draw a number from everybody's
            )
        try:
            items: Iterator[Read | ZooError] = iter(self._loader)
        except OSError as error:
            self.close()
            raise DataError(
                f"No process that reads images could be started: {error.strerror or error}.",
                "Make room in shared memory (/dev/shm), or say --workers 0 to do without such processes.",
            ) from error
        while True:
            if turn != self._turn:
                raise RuntimeError("this split was begun again meanwhile; go through it once at a time")
            try:
                item = next(items)
            except StopIteration:
                return
            except RuntimeError as error:  # the workers hand over whatever else goes wrong
                self.close()
                raise DataError(
                    f"A process that reads images came to an end: {error}",
                    "It may have run out of memory: say fewer --workers, or --workers 0 to do without.",
                ) from error
            if isinstance(item, ZooError):
                self.close()
                raise item
            yield item

    def usable(self, index: int) -> bool:
        """Whether an image can be read and fitted; it is tried, in this process."""
        try:
            _Fitted(self.dataset, self.preprocess).item(index)
        except ZooError:
            return False
        return True

    def close(self) -> None:
        """End the worker processes; the next batch would start them again."""
        self._loader = None


def _settle_in(worker: int) -> None:
    """Let the worker's garbage collector pass over what this process had, and its threads end without a word.

    To look at what this process had is to copy it. The collector clears old cycles, such as opened images leave, as
    soon as there are a quarter as many new objects as it found the last time. To look once more tells it that there are
    none; else thousands of images would wait for it.
    """
    gc.freeze()
    gc.collect()
    sys.excepthook = _unless_left_alone


def _unless_left_alone(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error, but for that of the thread that hands images over when whoever asked for them has ended."""
    if not issubclass(kind, OSError | EOFError | AuthenticationError):
        sys.__excepthook__(kind, error, trace)


class _Chunks:
    """The indices of the batches, made one at a time and not all at once: there may be very many."""

    index: Tensor
    size: int

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self.index), self.size):
            yield self.index[start : start + self.size].tolist()


class _Fitted:
    """Whole batches, each of whose images is written at once to where it is handed over from.

    To gather images and then copy them twice takes time, and memory that glibc before 2.38 does not always use again.
    """

    def __init__(self, dataset: MapDataset, preprocess: Preprocess) -> None:
        self.dataset, self.preprocess = dataset, preprocess

    def __getitems__(self, chosen: list[int]) -> Read | ZooError:
        try:
            images = _room((len(chosen), self.preprocess.channels, *self.preprocess.size), torch.uint8)
            labels = _room((len(chosen),), torch.int64)
        except RuntimeError as error:
            return DataError(
                f"A process that reads images has no room to hand them over: {str(error).splitlines()[0]}.",
                "Make room in shared memory (/dev/shm), or say --workers 0 to do without such processes.",
            )
        failed: list[tuple[int, ZooError]] = []
        pixels, good = images.numpy(), 0
        for place, index in enumerate(chosen):
            try:
                pixels[good], labels[good] = self.item(index)
            except ZooError as error:  # a worker process can send it on, but not raise it
                failed.append((place, error))
            else:
                good += 1
        return images[:good], labels[:good], tuple(failed)

    def item(self, index: int) -> tuple["np.ndarray[Any, Any]", int]:
        """One image, uint8 `[C, H, W]`, and its label.

        Raises:
            DataError: it cannot be read, or not be made to fit.
        """
        image, label = read_item(self.dataset, index)
        try:
            return fit_image(image, self.preprocess), label
        except Exception as error:  # Pillow raises errors of every kind, of memory too
            named = getattr(image, "filename", "")
            if isinstance(error, ZooError):
                if named:
                    raise
                raise DataError(f"Image {index}: {error.cause}", error.next_step) from error
            name, why = named or f"Image {index}", f"{type(error).__name__}: {error}"
            raise DataError(f"{name} cannot be used: {why}", "Store it as a PNG or JPEG of a common size.") from error


def _room(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An empty tensor; that of a worker is in shared memory.

    Raises:
        RuntimeError: there is none left. It would go unsaid in the queue's thread, and be waited for for ever.
    """
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    storage = torch.UntypedStorage._new_shared(math.prod(shape) * dtype.itemsize)  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape)  # type: ignore[call-overload,no-any-return]


def _as_it_is(batch: Read | ZooError) -> Read | ZooError:
    return batch
