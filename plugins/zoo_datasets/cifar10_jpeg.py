"""The data set `cifar10_jpeg`: the images of CIFAR-10, compressed as JPEG, in a folder for each split and class.

JPEG compression is lossy: accuracies on this data set and on CIFAR-10 are not comparable.
"""

from pathlib import Path

from zoo.contract.errors import DataError
from zoo_datasets import folder
from zoo_datasets.arrays import check_split
from zoo_datasets.class_names import CIFAR10

FOLDERS = ("cifar10-jpeg", "CIFAR-10-images", ".")
COUNTS = {"train": 5000, "test": 1000}  # of each class


def load(root: Path, split: str, download: bool) -> folder.ImageFolder:
    """Load RGB images 32x32 from `SPLIT/CLASS/…` in `root/cifar10-jpeg`, `root/CIFAR-10-images` or `root`.

    Raises:
        DataError: the files are missing, or classes or numbers of images are not the published ones.
    """
    check_split(split)
    base = next((root / name for name in FOLDERS if (root / name / "train" / CIFAR10[0]).is_dir()), None)
    if base is None:
        raise DataError(
            f"There is no JPEG copy of CIFAR-10 in {root}: no folder train/{CIFAR10[0]}.",
            f"Put its folders train and test into {root / FOLDERS[0]}. --download does not support it.",
        )
    images = folder.load(base, split, download)
    if images.classes != CIFAR10:
        raise DataError(
            f"The folder {base} has the classes {', '.join(images.classes[:12])}, which are not those of CIFAR-10.",
            "Use --data folder for it.",
        )
    for index, name in enumerate(CIFAR10):
        if (count := images.targets.count(index)) != COUNTS[split]:
            raise DataError(
                f"The class {name} has {count:,} images in {base / split}, not the published {COUNTS[split]:,}.",
                "Unpack the data set again, or use --data folder for it.",
            )
    return images
