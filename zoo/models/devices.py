"""Select the device that a model runs on, and explain out-of-memory errors."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from zoo.contract.errors import DeviceError, UsageError, refuse_out_of_memory


def available() -> list[str]:
    """Return the available types of device among `cuda`, `mps` and `cpu`, fastest first."""
    accelerators = ["cuda"] if torch.cuda.is_available() else []
    return [*accelerators, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of this name. `auto` is the first of `available()`.

    Raises:
        UsageError: the name is not that of a device.
        DeviceError: the device is not available.
    """
    if name == "auto":
        return torch.device(available()[0])
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"{name!r} is not a device.", "Use auto, cpu, cuda, cuda:1 or mps.") from None
    present = device.type in available()
    if not present or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise DeviceError(f"The device {name} is not available.", f"Use --device {' or '.join(available())}.")
    return device


def describe(device: torch.device) -> dict[str, str]:
    """Return what affects numerical results besides package versions: device, CPU instruction set, and threads."""
    facts = {
        "device": device.type,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }
    return facts | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


@contextmanager
def explain_out_of_memory(device: torch.device) -> Iterator[None]:
    """Convert an out-of-memory error of this block to a `DeviceError`. Other errors are unchanged.

    Raises:
        DeviceError: `device` or this process is out of memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise DeviceError(
                f"The device {device} is out of memory.", "Use a smaller --batch-size, --img-size or --memory-limit."
            ) from error
        refuse_out_of_memory(error)
        raise
