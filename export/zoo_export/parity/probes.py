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

    The edges are what a camera gives at its limits. They come in two batches, so that a branch on brightness is
    taken both ways: dark (all zero after normalisation; black) and bright (white; one white pixel on black).

    Args:
        real: uint8 `[C, H, W]` each, of the model's size.
    """
    shape = preprocess.input_shape
    rng = np.random.default_rng(seed)
    noise = normalise_array(rng.integers(0, 256, (4, *shape), dtype=np.uint8), preprocess)
    edges = np.zeros((4, *shape), np.uint8)
    edges[2] = 255
    edges[3, :, shape[1] // 2, shape[2] // 2] = 255
    normalised = normalise_array(edges, preprocess)
    normalised[0] = 0
    probes = [Probe("noise-1", noise[:1]), Probe("noise-3", noise[1:])]
    probes += [Probe("dark-2", normalised[:2]), Probe("bright-2", normalised[2:])]
    if len(real):
        probes.append(Probe(f"real-{len(real)}", normalise_array(np.stack(list(real)), preprocess)))
    return probes


def normalise_array(images: npt.NDArray[np.uint8], preprocess: Preprocess) -> Array:
    """uint8 `[N, C, H, W]` to float32 `(x / 255 - mean) / std`."""
    mean = np.array(preprocess.mean, np.float32).reshape(-1, 1, 1)
    std = np.array(preprocess.std, np.float32).reshape(-1, 1, 1)
    return (images.astype(np.float32) / np.float32(255) - mean) / std
