"""What probes are made of, in words that make them again: for a manifest, whose reader may not have the images."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from zoo.contract.errors import ExportError
from zoo.contract.preprocess import Preprocess
from zoo_export.probes.probes import NOISE, Array, Probe, dark_image, normalise_array

SEED = 0
HOW = (
    "'noise I' is image I of numpy.random.default_rng(seed).integers(0, 256, (2, C, H, W), dtype=uint8), "
    "'noise HxW I' of default_rng((seed, H, W)).integers(0, 256, (2, C, H, W), dtype=uint8); 'white' is 255; 'dark' "
    "is 0, with 255 at (H // 4, W // 2) in every channel; each becomes float32 (x / 255 - mean) / std with the mean "
    "and std of `preprocess`; then 'dark' is 0 from row H // 2 on; 'D test I' is image I of the test split of the "
    "data set D, prepared as `preprocess` says; sha256 is over the float32 bytes [N, C, H, W], little-endian"
)
WORDS = ("white", "dark", *(f"noise {index}" for index in range(NOISE)))


def make_image(words: str, preprocess: Preprocess, seed: int = SEED) -> Array:
    """The image, float32 `[1, C, H, W]`, that `words` says; see `HOW`.

    Raises:
        ExportError: these words say no image that can be made from a seed.
    """
    shape = preprocess.input_shape
    if words == "dark":
        return dark_image(preprocess)
    if noise := re.fullmatch(r"noise ([01])", words):
        drawn = np.random.default_rng(seed).integers(0, 256, (NOISE, *shape), dtype=np.uint8)
        return normalise_array(drawn[[int(noise[1])]], preprocess)
    if noise := re.fullmatch(r"noise ([1-9]\d{0,4})x([1-9]\d{0,4}) ([01])", words):
        height, width, index = map(int, noise.groups())
        drawn = np.random.default_rng((seed, height, width)).integers(0, 256, (2, shape[0], height, width), np.uint8)
        return normalise_array(drawn[[index]], preprocess)
    if words not in WORDS:
        raise ExportError(f"A probe is made of {words!r}, which this zoo cannot make.", "Export the model again.")
    return normalise_array(np.full((1, *shape), 255, np.uint8), preprocess)


def describe(probe: Probe, preprocess: Preprocess, real: Sequence[str] = ()) -> list[str]:
    """What each image of a probe is made of. The words are right: each was made again and compared.

    Args:
        real: what to say of the images of a data set.

    Raises:
        ExportError: an image is none that there are words for.
    """
    if probe.name.startswith("real"):
        return list(real)
    said = []
    sized = [f"noise {probe.name.removeprefix('size-')} {index}" for index in (0, 1)]
    for image in probe.images:
        fits = (
            words
            for words in (sized if probe.name.startswith("size-") else WORDS)
            if np.array_equal(make_image(words, preprocess)[0], image)
        )
        words = next(fits, None)
        if words is None:
            raise ExportError(
                f"There are no words for what the probe {probe.name} is made of.", "Report it to the authors of zoo."
            )
        said.append(words)
    return said


def input_digest(probe: Probe) -> str:
    """sha256 over the bytes of a probe's images, in hex."""
    return hashlib.sha256(np.ascontiguousarray(probe.images, "<f4").tobytes()).hexdigest()
