"""Read, resize and crop the images of a data set in batches, with worker processes that persist between epochs."""

import gc
import math
import multiprocessing
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

from zoo.contract.errors import (
    SHARED_MEMORY_STEP,
    WORKER_STEP,
    DataError,
    DeviceError,
    ZooError,
    is_out_of_memory,
    refuse_lost_worker,
    refuse_out_of_memory,
)
from zoo.contract.preprocess import Preprocess
from zoo.data.batches import MapDataset, read_item
from zoo.data.images import fit_image

MAX_WORKERS = 8  # default number of workers, if there are as many cores
PREFETCH_FACTOR = 2  # batches that each worker reads in advance

# Images uint8 [G, C, H, W] and labels int64 [G] of the G images that could be read, then position in the batch and
# error of each of the others.
ReadBatch = tuple[Tensor, Tensor, tuple[tuple[int, ZooError], ...]]


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Reader:
    """Reads a map-style data set in batches.

    Args:
        workers: worker processes. They start with the first batch and run until `close`. 0 reads in this process.
        pinned: return batches in pinned memory, for asynchronous copies to a GPU.
    """

    def __init__(self, dataset: MapDataset, preprocess: Preprocess, workers: int, *, pinned: bool = False) -> None:
        self.dataset, self.preprocess = dataset, preprocess
        self._workers, self._pinned = workers, pinned
        self._sampler = _BatchSampler()
        self._loader: DataLoader[Any] | None = None
        self._iteration = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def batches(self, index: Tensor, batch_size: int) -> Iterator[ReadBatch]:
        """Yield the images with these indices (int64 `[M]`), in this order. A new call ends the previous iteration.

        Raises:
            DataError: a worker process was killed, could not start, or ran out of shared memory.
        """
        try:
            yield from self._batches(index, batch_size)
        except RuntimeError as error:  # PyTorch's handler of SIGCHLD raises anywhere, also while an error is handled
            refuse_lost_worker(error)
            raise

    def _batches(self, index: Tensor, batch_size: int) -> Iterator[ReadBatch]:
        self._iteration += 1
        iteration = self._iteration
        self._sampler.index, self._sampler.batch_size = index, batch_size
        if self._loader is None:
            self._loader = DataLoader(
                _BatchDataset(self.dataset, self.preprocess),  # type: ignore[arg-type]
                batch_sampler=self._sampler,
                num_workers=self._workers,
                collate_fn=_no_collate,  # type: ignore[arg-type]
                pin_memory=self._pinned,
                persistent_workers=self._workers > 0,
                prefetch_factor=PREFETCH_FACTOR if self._workers else None,
                worker_init_fn=_init_worker,
                generator=torch.Generator(),  # the default draws a number from the global generator in each epoch
            )
        try:
            if self._workers:
                multiprocessing.Lock()  # fails where iter() would, which leaves an object that Python cannot delete
            items: Iterator[ReadBatch | ZooError] = iter(self._loader)
        except (OSError, MemoryError, RuntimeError) as error:  # `fork`, pipes, semaphores, threads
            self.close()
            if not isinstance(error, OSError) and not is_out_of_memory(error):
                raise
            raise DataError(
                f"The worker processes that read images could not start: {getattr(error, 'strerror', None) or error}.",
                SHARED_MEMORY_STEP,
            ) from error
        while True:
            if iteration != self._iteration:
                raise RuntimeError("this split is being iterated over again; iterate over it once at a time")
            try:
                item = next(items)
            except StopIteration:
                return
            except RuntimeError as error:  # DataLoader raises it when a worker dies
                self.close()
                refuse_out_of_memory(error)
                refuse_lost_worker(error)
                raise DataError(
                    f"A worker process that reads images failed: {error}",
                    WORKER_STEP,
                ) from error
            except (EOFError, ConnectionError, FileNotFoundError) as error:  # it died with a batch in its hands
                self.close()
                raise DataError(
                    f"A worker process that reads images was killed: its batch could not be received "
                    f"({type(error).__name__}).",
                    WORKER_STEP,
                ) from error
            if isinstance(item, ZooError):
                self.close()
                raise item
            yield item

    def can_read(self, index: int) -> bool:
        """Return whether an image can be read and resized. It is read in this process."""
        try:
            _BatchDataset(self.dataset, self.preprocess).read(index)
        except DeviceError:
            raise
        except ZooError:
            return False
        return True

    def close(self) -> None:
        """Stop the worker processes. The next batch starts them again."""
        self._loader = None


def _init_worker(worker: int) -> None:
    """Exclude the parent's objects from the worker's garbage collection, and silence its threads at exit.

    Collecting the parent's objects would copy their memory pages. `gc.freeze` alone is not enough: a full collection
    starts only when the new objects exceed a quarter of those that survived the last one, so the cycles of thousands
    of opened images would pile up. Collecting once after `freeze` resets that number to almost zero.
    """
    gc.freeze()
    gc.collect()
    sys.excepthook = _ignore_lost_connection


def _ignore_lost_connection(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error, unless it comes from the thread that sends images to a main process that has exited."""
    if not issubclass(kind, OSError | EOFError | AuthenticationError):
        sys.__excepthook__(kind, error, trace)


class _BatchSampler:
    """Yields the indices of one batch at a time, so that a long epoch needs no list of all batches."""

    index: Tensor
    batch_size: int

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self.index), self.batch_size):
            yield self.index[start : start + self.batch_size].tolist()


class _BatchDataset:
    """Reads whole batches. Each image is written directly into the tensor that is sent to the main process.

    Collecting images in a list and stacking them copies each twice, and glibc before 2.38 does not always reuse
    the memory.
    """

    def __init__(self, dataset: MapDataset, preprocess: Preprocess) -> None:
        self.dataset, self.preprocess = dataset, preprocess

    def __getitems__(self, indices: list[int]) -> ReadBatch | ZooError:
        try:
            images = _empty((len(indices), self.preprocess.channels, *self.preprocess.size), torch.uint8)
            labels = _empty((len(indices),), torch.int64)
        except RuntimeError as error:
            if get_worker_info() is None:
                raise
            return DataError(
                f"A worker process could not allocate shared memory for a batch: {str(error).splitlines()[0]}.",
                SHARED_MEMORY_STEP,
            )
        failed: list[tuple[int, ZooError]] = []
        pixels, good = images.numpy(), 0
        for position, index in enumerate(indices):
            try:
                pixels[good], labels[good] = self.read(index)
            except DeviceError as error:  # out of memory, which is not the fault of the image
                return error
            except ZooError as error:  # returned, because the main process decides whether to skip the image
                failed.append((position, error))
            else:
                good += 1
        return images[:good], labels[:good], tuple(failed)

    def read(self, index: int) -> tuple["np.ndarray[Any, Any]", int]:
        """Return one image, uint8 `[C, H, W]`, and its label.

        Raises:
            DataError: the image cannot be read or resized.
        """
        image, label = read_item(self.dataset, index)
        try:
            return fit_image(image, self.preprocess), label
        except Exception as error:  # Pillow raises many types
            file = getattr(image, "filename", "")
            refuse_out_of_memory(error, f"resizing {file or f'image {index}'}")
            if isinstance(error, ZooError):
                if file:
                    raise
                raise DataError(f"Image {index}: {error.cause}", error.next_step) from error
            reason = f"{type(error).__name__}: {error}"
            raise DataError(
                f"{file or f'Image {index}'} cannot be used: {reason}", "Store it as a PNG or JPEG of a common size."
            ) from error


def _empty(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return an empty tensor, in shared memory if this is a worker process.

    Raises:
        RuntimeError: shared memory is full. Left to the DataLoader, the error would occur in the thread of the
            queue, and the main process would wait for ever.
    """
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    storage = torch.UntypedStorage._new_shared(math.prod(shape) * dtype.itemsize)  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=dtype).set_(storage, 0, shape)  # type: ignore[call-overload,no-any-return]


def _no_collate(batch: ReadBatch | ZooError) -> ReadBatch | ZooError:
    return batch
