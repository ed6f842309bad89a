"""Memory that does not suffice, as an error that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zoo.contract.errors import DeviceError


@contextmanager
def enough_memory(device: torch.device) -> Iterator[None]:
    """Around work with tensors on `device`. Errors of every other kind pass as they are.

    Raises:
        DeviceError: there was not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error):
            raise DeviceError(
                f"There was not enough memory on {device}.",
                "Say a smaller --batch-size, --img-size or --memory-limit.",
            ) from error
        raise
