"""Which device a model runs on: told, or the fastest that is there."""

import torch

from zoo.contract.errors import DeviceError, UsageError


def available() -> list[str]:
    """The kinds of device that are here, fastest first: of `cuda`, `mps` and `cpu`."""
    found = ["cuda"] if torch.cuda.is_available() else []
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


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
    """What decides numbers beside the versions: the kind of device, the CPU's instructions, and its threads."""
    said = {
        "device": device.type,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
    }
    return said | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})
