"""Run what PyTorch loaded from an artifact, arrays in and arrays out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from zoo.contract.errors import DeviceError
from zoo.contract.exporting.artifact import CPU, Array, Backend, Run
from zoo_export.capture import quiet
from zoo_export.truth.backend import CUDA, tf32


def devices() -> Mapping[str, Callable[[], str]]:
    """The devices that PyTorch's own formats are run on."""
    return {"cpu": lambda: "", CUDA: lambda: "" if torch.cuda.is_available() else "is not here: PyTorch finds no GPU"}


def torch_device(backend: Backend) -> torch.device:
    """PyTorch's device of a backend.

    Raises:
        DeviceError: there is no such device, or it does not work here.
    """
    check = devices().get(backend.device)
    why = "is not supported by PyTorch's formats" if check is None else check()
    if why:
        raise DeviceError(f"The device {backend.device} {why}.", f"Use {' or '.join(devices())}.")
    return torch.device(backend.device)


def torch_runner(module: Callable[..., Any], backend: Backend = CPU) -> Run:
    """A function from images, float32 `[N, C, H, W]`, to what `module` makes of them, both numpy arrays.

    `module` must be on the device of `backend` already.
    """
    device = torch_device(backend)

    def run(images: Array) -> Array:
        with torch.inference_mode(), tf32(device, backend.tf32), quiet():
            logits = module(torch.from_numpy(images).to(device))
        return np.asarray(logits.cpu().numpy())

    return run
