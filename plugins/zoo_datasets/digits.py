"""The data set `digits`: 1,797 real handwritten digits of 8x8 pixels, shipped with this package.

They are the test set of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI Machine Learning
Repository, CC BY 4.0), in its published order. `digits.npz` holds `images`, uint8 `[1797, 8, 8]` from 0 to 16, and
`labels`, uint8 `[1797]`.

The split is by position: of each class's images in that order, the third of every five is a test image. That gives
1,438 to train on and 359 to test on. Both splits hold the same 13 writers, so accuracy here says nothing about a
writer the model has not seen.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.contract.errors import DataError
from zoo_datasets.arrays import ImageArrays, check_split
from zoo_datasets.class_names import DIGITS

FILE = Path(__file__).with_name("digits.npz")


def load(root: Path, split: str, download: bool) -> ImageArrays:
    """One split of the digits: images uint8 `[N, 8, 8]` from 0 to 255, labels int64 `[N]` from 0 to 9.

    Args:
        root, download: not used, since the data is part of the package.
        split: "train" (1,438 images) or "test" (359).

    Raises:
        DataError: there is no such split, or the packaged file is missing or damaged.
    """
    check_split(split)
    try:
        with np.load(FILE, allow_pickle=False) as arrays:
            levels: NDArray[np.uint8] = arrays["images"]
            labels: NDArray[np.int64] = arrays["labels"].astype(np.int64)
    except Exception as error:  # a damaged archive raises many kinds
        raise DataError(
            f"The packaged file {FILE} cannot be read ({type(error).__name__}).", "Install zoo-kit again."
        ) from error
    chosen = _is_test(labels) == (split == "test")
    scaled = (levels[chosen].astype(np.uint16) * 255 + 8) // 16  # 0..16 to 0..255, rounded
    return ImageArrays(scaled.astype(np.uint8), labels[chosen], DIGITS)


def _is_test(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    position = np.zeros(len(labels), dtype=np.int64)
    for index in range(len(DIGITS)):
        of_class = labels == index
        position[of_class] = np.arange(of_class.sum())
    test: NDArray[np.bool_] = position % 5 == 2
    return test
