"""The data set `digits`: 1,797 handwritten digits of 8x8 pixels, included in this package.

They are the test set of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI Machine Learning
Repository, CC BY 4.0), in its published order. `digits.npz` holds `images`, uint8 `[1797, 8, 8]` from 0 to 16, and
`labels`, uint8 `[1797]`.

The split is by position: of the images of each class in this order, the third of every five is a test image. This
gives 1,438 training and 359 test images. Both splits have the same 13 writers, so the test accuracy is not that on
digits by other writers.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.contract.errors import DataError
from zoo_datasets.arrays import ImageArrays, check_split
from zoo_datasets.class_names import DIGITS

FILE = Path(__file__).with_name("digits.npz")


def load(root: Path, split: str, download: bool) -> ImageArrays:
    """Load one split of the digits: images uint8 `[N, 8, 8]` from 0 to 255, labels int64 `[N]` from 0 to 9.

    Args:
        root, download: not used; the data is in the package.
        split: "train" (1,438 images) or "test" (359).

    Raises:
        DataError: `split` is invalid, or the file in the package is missing or damaged.
    """
    check_split(split)
    try:
        with np.load(FILE, allow_pickle=False) as arrays:
            levels: NDArray[np.uint8] = arrays["images"]
            labels: NDArray[np.int64] = arrays["labels"].astype(np.int64)
    except Exception as error:  # a damaged archive raises many types
        raise DataError(f"The file {FILE} cannot be read ({type(error).__name__}).", "Reinstall zoo-kit.") from error
    selected = _is_test(labels) == (split == "test")
    scaled = (levels[selected].astype(np.uint16) * 255 + 8) // 16  # 0..16 to 0..255, rounded
    return ImageArrays(scaled.astype(np.uint8), labels[selected], DIGITS)


def _is_test(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    position = np.zeros(len(labels), dtype=np.int64)
    for index in range(len(DIGITS)):
        of_class = labels == index
        position[of_class] = np.arange(of_class.sum())
    test: NDArray[np.bool_] = position % 5 == 2
    return test
