"""Probes: the inputs that an artifact is judged on. None of them was traced."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.contract.preprocess import Preprocess

Array = npt.NDArray[np.float32]
NOISE = 2  # images; the batch that was traced has other sizes


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
    """Two images of seeded noise, edges, and real images where there are any.

    The edges are two batches of one image, so that a branch on brightness is taken both ways. Dark: `dark_image`.
    Bright: white.

    Args:
        real: uint8 `[C, H, W]` each, of the model's size.
        sizes: heights and widths other than the model's, to judge with two images of noise each.
    """
    shape = preprocess.input_shape
    noise = np.random.default_rng(seed).integers(0, 256, (NOISE, *shape), dtype=np.uint8)
    white = np.full((1, *shape), 255, np.uint8)
    probes = [
        Probe("noise-2", normalise_array(noise, preprocess)),
        Probe("dark-1", dark_image(preprocess)),
        Probe("bright-1", normalise_array(white, preprocess)),
    ]
    if len(real):
        probes.append(Probe(f"real-{len(real)}", normalise_array(np.stack(list(real)), preprocess)))
    for height, width in sizes:
        images = np.random.default_rng((seed, height, width)).integers(0, 256, (2, shape[0], height, width), np.uint8)
        probes.append(Probe(f"size-{height}x{width}", normalise_array(images, preprocess)))
    return probes


def dark_image(preprocess: Preprocess) -> Array:
    """`[1, C, H, W]`: a black half with one white pixel above a half of zeros, which is the mean of the data."""
    height, width = preprocess.size
    image = np.zeros((1, *preprocess.input_shape), np.uint8)
    image[..., height // 4, width // 2] = 255
    dark = normalise_array(image, preprocess)
    dark[..., height // 2 :, :] = 0
    return dark


def normalise_array(images: npt.NDArray[np.uint8], preprocess: Preprocess) -> Array:
    """uint8 `[N, C, H, W]` to float32 `(x / 255 - mean) / std`."""
    mean = np.array(preprocess.mean, np.float32).reshape(-1, 1, 1)
    std = np.array(preprocess.std, np.float32).reshape(-1, 1, 1)
    return (images.astype(np.float32) / np.float32(255) - mean) / std
