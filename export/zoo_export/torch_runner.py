"""Run what PyTorch loaded from an artifact, arrays in and arrays out."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from zoo_export.capture import quiet


def torch_runner(module: Callable[..., Any]) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
    """A function from images, float32 `[N, C, H, W]`, to what `module` makes of them, both numpy arrays."""

    def run(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), quiet():
            logits = module(torch.from_numpy(images))
        return np.asarray(logits.numpy())

    return run
