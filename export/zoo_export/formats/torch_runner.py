"""Run what PyTorch loaded from an artifact, arrays in and arrays out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from zoo_export.capture import quiet
from zoo_export.parity.backend import Backend

Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


def torch_runner(module: Callable[..., Any], setting: Backend) -> Run:
    """A function from images, float32 `[N, C, H, W]`, to what `module` makes of them at `setting`, both numpy arrays.

    `module` must be on the device of `setting` already.
    """

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), setting.active(), quiet():
            logits = module(torch.from_numpy(images).to(setting.device))
        return np.asarray(logits.cpu().numpy())

    return run


def named(setting: Backend, run: Run) -> Run | Mapping[str, Run]:
    """A runner that says where it runs, unless that is the CPU, which goes without saying."""
    return run if setting.device.type == "cpu" else {f"PyTorch on {setting.provider}": run}
