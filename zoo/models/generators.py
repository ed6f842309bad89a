"""The global random generators that a model may draw from: PyTorch's, NumPy's and Python's."""

import random

import numpy as np
import torch


def generator_states(device: torch.device | None = None) -> dict[str, object]:
    """The state of each global generator by the name of its library; equal where nothing was drawn in between.

    Args:
        device: of the model; its own generator counts as PyTorch's.
    """
    states = [torch.random.get_rng_state().numpy().tobytes()]
    if device is not None and device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device).numpy().tobytes())
    _, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "PyTorch": tuple(states),
        "NumPy": (np.asarray(keys).tobytes(), position, has_gauss, gauss),
        "Python": random.getstate(),
    }


def drawn_from(before: dict[str, object], after: dict[str, object]) -> str:
    """The libraries whose generators moved, such as `NumPy and Python`; empty if none did."""
    return " and ".join(name for name, state in before.items() if after[name] != state)
