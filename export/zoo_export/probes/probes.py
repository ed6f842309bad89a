"""Probes: the inputs that an artifact is judged on. None of them was traced."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from zoo.contract.evidence import Images, Probe
from zoo.contract.preprocess import Preprocess
from zoo.data.images import normalise_array

NOISE = 2  # images; the batch that was traced has another size
SEED = 0
PROBE_RECIPE = (
    "'noise I' is image I of numpy.random.default_rng(seed).integers(0, 256, (2, C, H, W), dtype=uint8), "
    "'noise HxW I' of default_rng((seed, H, W)).integers(0, 256, (2, C, H, W), dtype=uint8); 'white' is 255; 'dark' "
    "is 0, with 255 at (H // 4, W // 2) in every channel; each becomes float32 (x / 255 - mean) / std with the mean "
    "and std of `preprocess`; then 'dark' is 0 from row H // 2 on; 'D test I' is image I of the test split of the "
    "data set D, prepared as `preprocess` says; sha256 is over the float32 bytes [N, C, H, W], little-endian"
)


def make_probes(
    preprocess: Preprocess,
    real: Sequence[npt.NDArray[np.uint8]] = (),
    seed: int = SEED,
    sizes: Sequence[tuple[int, int]] = (),
) -> list[Probe]:
    """Two images of seeded noise, edge cases, and real images if there are any.

    The edge cases are two batches of one image, so that a branch on brightness is taken both ways: `dark_image` and
    `white_image`.

    Args:
        real: uint8 `[C, H, W]` each, of the model's size.
        sizes: heights and widths other than the model's, to judge with two images of noise each.
    """
    probes = [
        Probe("noise-2", noise_images(preprocess, seed)),
        Probe("dark-1", dark_image(preprocess)),
        Probe("bright-1", white_image(preprocess)),
    ]
    if len(real):
        probes.append(Probe(f"real-{len(real)}", normalise_array(np.stack(list(real)), preprocess)))
    for height, width in sizes:
        probes.append(Probe(f"size-{height}x{width}", noise_images(preprocess, seed, (height, width))))
    return probes


def noise_images(preprocess: Preprocess, seed: int = SEED, size: tuple[int, int] | None = None) -> Images:
    """`[NOISE, C, H, W]`: seeded noise, of the model's size or of another `size`, which is part of the seed then."""
    height, width = size or preprocess.size
    generator = np.random.default_rng(seed if size is None else (seed, *size))
    pixels = generator.integers(0, 256, (NOISE, preprocess.channels, height, width), dtype=np.uint8)
    return normalise_array(pixels, preprocess)


def dark_image(preprocess: Preprocess) -> Images:
    """`[1, C, H, W]`: a black half with one white pixel above a half of zeros, which is the mean of the data."""
    height, width = preprocess.size
    pixels = np.zeros((1, *preprocess.input_shape), np.uint8)
    pixels[..., height // 4, width // 2] = 255
    dark = normalise_array(pixels, preprocess)
    dark[..., height // 2 :, :] = 0
    return dark


def white_image(preprocess: Preprocess) -> Images:
    """`[1, C, H, W]`: white."""
    return normalise_array(np.full((1, *preprocess.input_shape), 255, np.uint8), preprocess)


EDGES = {"white": white_image, "dark": dark_image}  # by the name that `PROBE_RECIPE` explains
