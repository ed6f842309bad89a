"""Raw images in the golden file with the tensors that preprocessing makes of them, to test other implementations."""

import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import numpy.typing as npt

from zoo.contract.errors import DifferenceError
from zoo.contract.preprocess import Preprocess
from zoo.data.images import fit_image, normalise_array
from zoo.files.regular import open_regular
from zoo_export.bundle.golden import read_array

PIXELS, TENSOR = "pixels", "tensor"
NAME = re.compile(rf"(image-\d{{1,3}})\.{PIXELS}\.npy")
MAX_SIDE = 512  # pixels of an image
LEVELS = 2  # of 255 by which a pixel may differ: releases of Pillow resize rows and columns in different orders


def preprocessed_arrays(preprocess: Preprocess) -> dict[str, npt.NDArray[Any]]:
    """`image-I.pixels`, uint8 `[H, W, 3]`, and `image-I.tensor`, float32 `[C, H, W]` of the model, for each image I."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for index, (height, width) in enumerate(image_sizes(preprocess), start=1):
        pixels = pattern(height, width)
        arrays[f"image-{index}.{PIXELS}"] = pixels
        arrays[f"image-{index}.{TENSOR}"] = prepared(pixels, preprocess)
    return arrays


def image_sizes(preprocess: Preprocess) -> list[tuple[int, int]]:
    """Height and width of the images: as the model takes them; smaller; larger and wide; larger and tall."""
    height, width = preprocess.size
    sizes = [
        (height, width),
        (height * 2 // 3, width // 2),
        (height + height // 2 + 1, width * 2 + 3),
        (height * 3, width + 1),
    ]
    return [(min(max(rows, 1), MAX_SIDE), min(max(columns, 1), MAX_SIDE)) for rows, columns in sizes]


def pattern(height: int, width: int) -> npt.NDArray[np.uint8]:
    """uint8 `[H, W, 3]` with smooth parts and edges: `64 + (3 x + 5 y + 7 (x y // 16) + 80 c) mod 128`.

    Bicubic resampling reaches neither 0 nor 255, where the order of rows and columns would make a larger difference.
    """
    y, x, c = np.ogrid[:height, :width, :3]
    pixels: npt.NDArray[np.uint8] = (64 + (3 * x + 5 * y + 7 * (x * y // 16) + 80 * c) % 128).astype(np.uint8)
    return pixels


def prepared(pixels: npt.NDArray[np.uint8], preprocess: Preprocess) -> npt.NDArray[np.float32]:
    """The model's input, float32 `[C, H, W]`, of one image."""
    tensor: npt.NDArray[np.float32] = normalise_array(fit_image(pixels, preprocess)[None], preprocess)[0]
    return tensor


def check_preprocessing(path: Path, preprocess: Preprocess) -> int:
    """Prepare the images of a golden file again, and compare them with its tensors, up to two of 255 levels.

    Returns:
        The number of images; 0 for a golden file of a release that stored none.

    Raises:
        DifferenceError: preprocessing gives another tensor, or an image or a tensor is missing or malformed.
    """
    try:
        with open_regular(path) as file, ZipFile(file) as archive:
            names = [match[1] for match in map(NAME.fullmatch, archive.namelist()) if match]
            different = [name for name in names if not _as_stored(archive, name, preprocess)]
    except Exception as error:  # a damaged archive raises many kinds
        raise DifferenceError(
            f"{path} does not hold its images and their tensors ({error}).", "Export the model again."
        ) from None
    if different:
        raise DifferenceError(
            f"Preprocessing of {', '.join(different)} in {path} gives other tensors than when the model was exported.",
            "Install the release of Pillow that the manifest names, or export the model again.",
        )
    return len(names)


def _as_stored(archive: ZipFile, name: str, preprocess: Preprocess) -> bool:
    pixels = read_array(archive, f"{name}.{PIXELS}", np.dtype(np.uint8), (None, None, 3))
    tensor = read_array(archive, f"{name}.{TENSOR}", np.dtype(np.float32), preprocess.input_shape)
    std = np.array(preprocess.std)[:, None, None]
    levels = 255 * std * np.abs(prepared(pixels, preprocess).astype(np.float64) - tensor)
    return bool(levels.max() < LEVELS + 0.5)
