"""Read the four IDX files of MNIST and of sets that share its layout, packed or not, without writing anything.

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

STEMS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
AGAIN = "Delete it and fetch it again, with --download or by hand."
MOST = 1_000_000  # images; a header that claims more is damaged, and must not make us allocate


def find(folders: Sequence[Path], split: str) -> tuple[Path, Path]:
    """The image file and the label file of `split`, from the first folder that holds both.

    Args:
        folders: where they may lie, each as `NAME` or `NAME.gz`.

    Raises:
        DataError: no folder holds both; the cause names the missing file where one of the two is there.
    """
    found = [[_locate(folder, stem) for stem in STEMS[split]] for folder in folders]
    for images, labels in found:
        if images and labels:
            return images, labels
    names = [f"{stem}.gz" for stem in STEMS[split]]
    fetch = "or run again with --download, which fetches them."
    for folder, pair in zip(folders, found, strict=True):
        if any(pair):
            missing = names[0] if pair[0] is None else names[1]
            raise DataError(f"The file {folder / missing} is missing.", f"Put it there, packed or not, {fetch}")
    raise DataError(
        f"The {split} images are not in {folders[0]} nor in {folders[-1]}.",
        f"Put {names[0]} and {names[1]}, packed or not, into {folders[0]}, {fetch}",
    )


def read(path: Path, axes: int) -> NDArray[np.uint8]:
    """The array in one IDX file: uint8, with `axes` axes (3 for images, 1 for labels), writable.

    Raises:
        DataError: the file is empty, damaged, too short, too long, or no IDX file of that kind.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(4 + 4 * axes)
            shape = _shape(path, header, axes)
            data = file.read(math.prod(shape) + 1)
    except (EOFError, zlib.error) as error:
        raise DataError(f"The file {path} is cut short or damaged ({error}).", AGAIN) from error
    except OSError as error:  # gzip.BadGzipFile is one too
        raise DataError(f"The file {path} cannot be read ({error}).", AGAIN) from error
    if len(data) != math.prod(shape):
        amount = "fewer" if len(data) < math.prod(shape) else "more"
        raise DataError(f"The file {path} holds {amount} bytes than its header says.", AGAIN)
    return np.frombuffer(bytearray(data), dtype=np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, axes: int) -> tuple[int, ...]:
    kind = "images" if axes == 3 else "labels"
    if not header:
        raise DataError(f"The file {path} is empty.", AGAIN)
    if len(header) < 4 + 4 * axes:
        raise DataError(f"The file {path} is cut short in its header.", AGAIN)
    magic, *shape = struct.unpack(f">{1 + axes}I", header)
    if magic != 2048 + axes:
        raise DataError(
            f"The file {path} starts with {magic} and not with {2048 + axes}, so it holds no IDX {kind}.", AGAIN
        )
    if not 0 < shape[0] <= MOST or (axes == 3 and shape[1:] != [28, 28]):
        raise DataError(
            f"The file {path} says that it holds {kind} of shape {tuple(shape)}.",
            f"{AGAIN[:-1]}; the shape must be (count{', 28, 28' if axes == 3 else ''}).",
        )
    return tuple(shape)


def _locate(folder: Path, stem: str) -> Path | None:
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)
