"""A data set in memory, as an array of images and an array of labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.contract.errors import DataError

DOWNLOAD_AGAIN = "Delete it, and download it again with --download or by hand."  # the next step for a damaged file


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """A map-style data set of (image, class index).

    Args:
        images: uint8 `[N, H, W]` (grey) or `[N, H, W, 3]` (RGB), 0 to 255, writable and contiguous.
        labels: int64 `[N]`, class indices.
        classes: the class names in the order of their indices.

    Raises:
        DataError: the arrays have different lengths, or a label is out of range.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(
                f"The data set has {len(self.images)} images but {len(self.labels)} labels.",
                "Download its files again: images and labels must be from the same download.",
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise DataError(
                f"The data set has labels from {self.labels.min()} to {self.labels.max()}, outside 0 to "
                f"{len(self.classes) - 1}.",
                "Check that the files belong to this data set, or download them again.",
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], int]:
        """Return the image, uint8 `[H, W]` or `[H, W, 3]`, and its class index."""
        return self.images[index], int(self.labels[index])


def check_split(split: str) -> None:
    """Check that `split` is "train" or "test".

    Raises:
        DataError: it is not.
    """
    if split not in ("train", "test"):
        raise DataError(f"There is no split named {split!r}.", "Use train or test.")
