"""`cifar10_jpeg`: the images of CIFAR-10, recompressed as JPEG, in a folder for each split and class.

JPEG lost detail: figures of the original CIFAR-10 do not hold for these files, nor theirs for the original.
"""

from pathlib import Path

from zoo.contract.errors import DataError
from zoo_datasets import folder
from zoo_datasets.arrays import check_split
from zoo_datasets.class_names import CIFAR10

FOLDERS = ("cifar10-jpeg", "CIFAR-10-images", ".")
COUNTS = {"train": 5000, "test": 1000}  # of each class


def load(root: Path, split: str, download: bool) -> folder.ImageFolder:
    """Images RGB 32x32, from `root/cifar10-jpeg`, `root/CIFAR-10-images` or `root`, in `train/CLASS` and `test/CLASS`.

    Raises:
        DataError: they are not there, are not those ten classes, or are not as many as were published.
    """
    check_split(split)
    place = next((root / name for name in FOLDERS if (root / name / "train" / CIFAR10[0]).is_dir()), None)
    if place is None:
        raise DataError(
            f"There is no JPEG copy of CIFAR-10 in {root}: no folder train/{CIFAR10[0]}.",
            f"Put its folders train and test into {root / FOLDERS[0]}; nothing fetches it.",
        )
    found = folder.load(place, split, download)
    if found.classes != CIFAR10:
        raise DataError(
            f"The folder {place} has the classes {', '.join(found.classes[:12])}, which are not those of CIFAR-10.",
            "Train on it as --data folder.",
        )
    for index, name in enumerate(CIFAR10):
        if (count := found.targets.count(index)) != COUNTS[split]:
            raise DataError(
                f"The class {name} has {count:,} images in {place / split}, where {COUNTS[split]:,} were published.",
                "Unpack it again; or train on it as --data folder.",
            )
    return found
