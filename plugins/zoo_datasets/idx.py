"""Read the four IDX files of MNIST and of data sets with the same layout, compressed or not, without writing files.

An IDX file is a big-endian header (the magic number, then the length of each axis as int32) and the bytes. The
magic number of uint8 images `[N, H, W]` is 2051, of uint8 labels `[N]` 2049. Source: LeCun, Cortes & Burges,
"The MNIST database of handwritten digits".
"""

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.contract.errors import DataError
from zoo.files.regular import open_regular
from zoo_datasets.arrays import DOWNLOAD_AGAIN

STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MAX_IMAGES = 1_000_000  # a header with more is damaged; do not allocate that much


def find(folders: Sequence[Path], split: str) -> tuple[Path, Path]:
    """Return the image file and the label file of `split` from the first folder that contains both.

    Args:
        folders: the folders to search for `NAME` and `NAME.gz`.

    Raises:
        DataError: no folder contains both. If one of the two exists, the error names the other.
    """
    pairs = [[_locate(folder, stem) for stem in STEMS[split]] for folder in folders]
    for images, labels in pairs:
        if images and labels:
            return images, labels
    names = [f"{stem}.gz" for stem in STEMS[split]]
    download = "or use --download."
    for folder, pair in zip(folders, pairs, strict=True):
        if any(pair):
            missing = names[0] if pair[0] is None else names[1]
            raise DataError(f"The file {folder / missing} is missing.", f"Put it there, compressed or not, {download}")
    raise DataError(
        f"The {split} images are neither in {folders[0]} nor in {folders[-1]}.",
        f"Put {names[0]} and {names[1]}, compressed or not, into {folders[0]}, {download}",
    )


def read(path: Path, axes: int) -> NDArray[np.uint8]:
    """Return the array in an IDX file: writable, uint8, with `axes` axes (3 for images, 1 for labels).

    Raises:
        DataError: the file is empty, damaged, too short, too long, or not an IDX file of this kind.
    """
    try:
        with open_regular(path) as raw, gzip.open(raw) if path.suffix == ".gz" else raw as file:
            header = file.read(4 + 4 * axes)
            shape = _shape(path, header, axes)
            data = file.read(math.prod(shape) + 1)
    except (EOFError, zlib.error) as error:
        raise DataError(f"The file {path} is truncated or damaged ({error}).", DOWNLOAD_AGAIN) from error
    except OSError as error:  # includes gzip.BadGzipFile
        raise DataError(f"The file {path} cannot be read ({error.strerror or error}).", DOWNLOAD_AGAIN) from error
    if len(data) != math.prod(shape):
        amount = "fewer" if len(data) < math.prod(shape) else "more"
        raise DataError(f"The file {path} has {amount} bytes than its header states.", DOWNLOAD_AGAIN)
    return np.frombuffer(bytearray(data), dtype=np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, axes: int) -> tuple[int, ...]:
    kind = "images" if axes == 3 else "labels"
    if not header:
        raise DataError(f"The file {path} is empty.", DOWNLOAD_AGAIN)
    if len(header) < 4 + 4 * axes:
        raise DataError(f"The file {path} is truncated in its header.", DOWNLOAD_AGAIN)
    magic, *shape = struct.unpack(f">{1 + axes}I", header)
    if magic != 2048 + axes:
        raise DataError(
            f"The file {path} starts with {magic}, not {2048 + axes}: it does not contain IDX {kind}.", DOWNLOAD_AGAIN
        )
    if not 0 < shape[0] <= MAX_IMAGES or (axes == 3 and shape[1:] != [28, 28]):
        raise DataError(
            f"The header of the file {path} states {kind} of shape {tuple(shape)}.",
            f"{DOWNLOAD_AGAIN[:-1]}; the shape must be (count{', 28, 28' if axes == 3 else ''}).",
        )
    return tuple(shape)


def _locate(folder: Path, stem: str) -> Path | None:
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.exists()), None)
