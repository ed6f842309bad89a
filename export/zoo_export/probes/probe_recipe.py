"""How probes are made, in words from which they can be made again by a reader of the manifest alone."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zoo.contract.errors import ExportError
from zoo.contract.evidence import Images, Probe
from zoo.contract.preprocess import Preprocess
from zoo_export.probes.probes import EDGES, NOISE, SEED, noise_images

NAMES = (*EDGES, *(f"noise {index}" for index in range(NOISE)))


def make_image(name: str, preprocess: Preprocess, seed: int = SEED) -> Images:
    """The image, float32 `[1, C, H, W]`, that `name` stands for; see `PROBE_RECIPE`.

    Raises:
        ExportError: no image of that name can be made from a seed.
    """
    if name in EDGES:
        return EDGES[name](preprocess)
    if noise := re.fullmatch(r"noise (?:([1-9]\d{0,4})x([1-9]\d{0,4}) )?([01])", name):
        height, width, index = noise.groups()
        size = None if height is None else (int(height), int(width))
        return noise_images(preprocess, seed, size)[[int(index)]]
    raise ExportError(f"This zoo cannot make the probe image {name!r}.", "Export the model again.")


def described(probe: Probe, preprocess: Preprocess, real: Sequence[str] = ()) -> Probe:
    """The probe with the names of its images, each made again and compared, and their sha256.

    Args:
        real: the names of the images of a data set, for the probe that holds them.

    Raises:
        ExportError: an image has no name.
    """
    names = tuple(real) if probe.name.startswith("real") else tuple(_names(probe, preprocess))
    return replace(probe, image_names=names, sha256=input_digest(probe))


def _names(probe: Probe, preprocess: Preprocess) -> Sequence[str]:
    sized = [f"noise {probe.name.removeprefix('size-')} {index}" for index in range(NOISE)]
    candidates = sized if probe.name.startswith("size-") else NAMES
    images = {name: make_image(name, preprocess)[0] for name in candidates}
    names = []
    for image in probe.images:
        name = next((name for name, made in images.items() if np.array_equal(made, image)), None)
        if name is None:
            raise ExportError(
                f"An image of the probe {probe.name} has no name from which it could be made again.",
                "Report it to the authors of zoo.",
            )
        names.append(name)
    return names


def input_digest(probe: Probe) -> str:
    """sha256 over the bytes of a probe's images, in hex."""
    return hashlib.sha256(np.ascontiguousarray(probe.images, "<f4").tobytes()).hexdigest()
