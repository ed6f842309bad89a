"""Probes: the inputs that an artifact is judged on. None of them was traced."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.preprocess import Preprocess

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Probe:
    """A named batch: float32 `[N, C, H, W]`, normalised."""

    name: str
    images: Array


def make_probes(preprocess: Preprocess, real: Sequence[npt.NDArray[np.uint8]] = (), seed: int = 0) -> list[Probe]:
    """Seeded noise in batches of 1 and 3, edges, and real images where there are any.

    The edges come in two batches, so that a branch on brightness is taken both ways. Dark: all zero after
    normalisation; black; dim noise. Bright: white; one white pixel on black; one black pixel on white.

    Args:
        real: uint8 `[C, H, W]` each, of the model's size.
    """
    shape = preprocess.input_shape
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
    dark, bright = np.zeros((3, *shape), np.uint8), np.full((3, *shape), 255, np.uint8)
    middle = (..., shape[1] // 2, shape[2] // 2)
    dark[2] = noise[0] // 8
    bright[1], bright[1][middle], bright[2][middle] = 0, 255, 0
    probes = {"noise-1": noise[:1], "noise-3": noise[1:], "dark-3": dark, "bright-3": bright}
    if len(real):
        probes[f"real-{len(real)}"] = np.stack(list(real))
    made = [Probe(name, normalise_array(images, preprocess)) for name, images in probes.items()]
    made[2].images[0] = 0  # grey: the mean of the data
    return made


def normalise_array(images: npt.NDArray[np.uint8], preprocess: Preprocess) -> Array:
    """uint8 `[N, C, H, W]` to float32 `(x / 255 - mean) / std`."""
    mean = np.array(preprocess.mean, np.float32).reshape(-1, 1, 1)
    std = np.array(preprocess.std, np.float32).reshape(-1, 1, 1)
    return (images.astype(np.float32) / np.float32(255) - mean) / std
