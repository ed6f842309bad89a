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


def make_probes(
    preprocess: Preprocess,
    real: Sequence[npt.NDArray[np.uint8]] = (),
    seed: int = 0,
    sizes: Sequence[tuple[int, int]] = (),
) -> list[Probe]:
    """Seeded noise in batches of 1 and 2, edges, and real images where there are any.

    The edges come in two batches, so that a branch on brightness is taken both ways. Dark: all zero after
    normalisation (the mean of the data); black with one white pixel. Bright: white.

    Args:
        real: uint8 `[C, H, W]` each, of the model's size.
        sizes: heights and widths other than the model's, to judge with two images of noise each.
    """
    shape = preprocess.input_shape
    noise = np.random.default_rng(seed).integers(0, 256, (3, *shape), dtype=np.uint8)
    edges = np.zeros((3, *shape), np.uint8)
    edges[1, :, shape[1] // 2, shape[2] // 2] = 255
    edges[2] = 255
    dark, bright = np.split(normalise_array(edges, preprocess), [2])
    dark[0] = 0
    probes = [
        Probe("noise-1", normalise_array(noise[:1], preprocess)),
        Probe("noise-2", normalise_array(noise[1:], preprocess)),
        Probe("dark-2", dark),
        Probe("bright-1", bright),
    ]
    if len(real):
        probes.append(Probe(f"real-{len(real)}", normalise_array(np.stack(list(real)), preprocess)))
    for height, width in sizes:
        images = np.random.default_rng((seed, height, width)).integers(0, 256, (2, shape[0], height, width), np.uint8)
        probes.append(Probe(f"size-{height}x{width}", normalise_array(images, preprocess)))
    return probes


def normalise_array(images: npt.NDArray[np.uint8], preprocess: Preprocess) -> Array:
    """uint8 `[N, C, H, W]` to float32 `(x / 255 - mean) / std`."""
    mean = np.array(preprocess.mean, np.float32).reshape(-1, 1, 1)
    std = np.array(preprocess.std, np.float32).reshape(-1, 1, 1)
    return (images.astype(np.float32) / np.float32(255) - mean) / std
