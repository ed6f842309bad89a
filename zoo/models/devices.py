"""Select the device that a model runs on."""

import torch

from zoo.contract.errors import DeviceError, UsageError


def available() -> list[str]:
    """Return the available types of device among `cuda`, `mps` and `cpu`, fastest first."""
    accelerators = ["cuda"] if torch.cuda.is_available() else []
    return [*accelerators, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def pick_device(told: str = "auto") -> torch.device:
    """The device of that name; `auto` takes the first of `available()`.

    Raises:
        UsageError: the name is no device's.
        DeviceError: that device is not here.
    """
    if told == "auto":
        return torch.device(available()[0])
    try:
        device = torch.device(told)
    except RuntimeError:
        raise UsageError(f"{told!r} is no device.", "Say auto, cpu, cuda, cuda:1 or mps.") from None
    here = device.type in available()
    if not here or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise DeviceError(f"The device {told} is not here.", f"Say --device {' or '.join(available())}.")
    return device


def describe(device: torch.device) -> dict[str, str]:
    """Return what affects numerical results besides package versions: device, CPU instruction set, and threads."""
    facts = {
        "device": device.type,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }
    return facts | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})
