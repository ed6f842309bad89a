"""MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 and SVHN, in the folders that torchvision uses.

torchvision downloads the files, but does not read them, for three reasons: importing torchvision.datasets takes
seconds, it needs decompressed IDX files in a writable folder, and it unpickles CIFAR. The exception is SVHN, a MATLAB
file: torchvision checks its md5 and reads it with scipy.

Every loader takes `(root, split, download)` and returns `ImageArrays`. Files are downloaded only if `download` is
true and a file is missing. Loaders raise `DataError` if a file is missing, damaged or of another data set.
"""

import tarfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contract.errors import DataError
from zoo_datasets import cifar, idx
from zoo_datasets.arrays import DOWNLOAD_AGAIN, ImageArrays, check_split
from zoo_datasets.class_names import DIGITS, FASHION_MNIST

# The files of MNIST and Fashion-MNIST have the same names. The first labels identify the data set.
FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
FIRST_LABELS = {
    "mnist": {"train": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4), "test": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9)},
    "fashion_mnist": {"train": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5), "test": (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)},
}


def mnist(root: Path, split: str, download: bool) -> ImageArrays:
    """Images uint8 `[N, 28, 28]`, from the IDX files in `root/MNIST/raw` or `root`, compressed or not."""
    return _idx_set("mnist", DIGITS, root, split, download)


def fashion_mnist(root: Path, split: str, download: bool) -> ImageArrays:
    """Images uint8 `[N, 28, 28]`, from the IDX files in `root/FashionMNIST/raw` or `root`, compressed or not."""
    return _idx_set("fashion_mnist", FASHION_MNIST, root, split, download)


def cifar10(root: Path, split: str, download: bool) -> ImageArrays:
    """Images uint8 `[N, 32, 32, 3]`, from `root/cifar-10-batches-bin` or `root/cifar-10-batches-py`."""
    return _cifar_set(cifar.CIFAR10, root, split, download)


def cifar100(root: Path, split: str, download: bool) -> ImageArrays:
    """Images uint8 `[N, 32, 32, 3]` in 100 fine classes, from `root/cifar-100-binary` or `root/cifar-100-python`."""
    return _cifar_set(cifar.CIFAR100, root, split, download)


def svhn(root: Path, split: str, download: bool) -> ImageArrays:
    """Images uint8 `[N, 32, 32, 3]` of cropped digits, from `root/train_32x32.mat` and `root/test_32x32.mat`."""
    check_split(split)
    file = root / f"{split}_32x32.mat"
    if not file.is_file() and not download:
        raise DataError(f"The file {file} is missing.", "Put it there, or use --download.")
    from torchvision.datasets import SVHN

    if file.is_file():  # torchvision raises RuntimeError if the md5 differs
        try:
            dataset = SVHN(str(root), split)
        except (RuntimeError, OSError) as error:
            raise DataError(f"The file {file} is damaged, or not the published file.", DOWNLOAD_AGAIN) from error
    else:
        dataset = _download("SVHN", root, lambda: SVHN(str(root), split, download=True))
    images = np.ascontiguousarray(dataset.data.transpose(0, 2, 3, 1))  # [N, C, H, W] -> [N, H, W, C]
    return ImageArrays(images, dataset.labels, DIGITS)


def _idx_set(name: str, classes: tuple[str, ...], root: Path, split: str, download: bool) -> ImageArrays:
    check_split(split)
    folders = (root / FOLDERS[name] / "raw", root)
    try:
        files = idx.find(folders, split)
    except DataError:
        if not download:
            raise
        from torchvision import datasets

        _download(name, root, lambda: getattr(datasets, FOLDERS[name])(str(root), download=True))
        files = idx.find(folders, split)
    images, labels = idx.read(files[0], axes=3), idx.read(files[1], axes=1)
    if len(images) != len(labels):
        raise DataError(
            f"The file {files[0]} has {len(images)} images, but {files[1]} has {len(labels)} labels.",
            "Delete both, and download them again with --download or by hand.",
        )
    other = next(other for other in FIRST_LABELS if other != name)
    if tuple(labels[:10].tolist()) == FIRST_LABELS[other][split]:
        raise DataError(
            f"The files in {files[1].parent} are those of {other}, not of {name}.",
            f"Use --data {other}, or put the files of {name} into {folders[0]}.",
        )
    if labels.max() >= len(classes):
        raise DataError(f"The file {files[1]} has the label {labels.max()}, which is out of range.", DOWNLOAD_AGAIN)
    return ImageArrays(images, labels.astype(np.int64), classes)


def _cifar_set(layout: cifar.Cifar, root: Path, split: str, download: bool) -> ImageArrays:
    check_split(split)
    if download and cifar.missing(layout, root, split):
        from torchvision.datasets.utils import download_and_extract_archive

        url = f"https://www.cs.toronto.edu/~kriz/{layout.archive}"
        _download(layout.archive, root, lambda: download_and_extract_archive(url, str(root), md5=layout.archive_md5))
    return cifar.read(layout, root, split)


def _download(name: str, root: Path, download: Callable[[], Any]) -> Any:
    try:
        return download()
    except (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError, zlib.error) as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            f"The download of {name} to {root} failed ({reason}).",
            "Check the network connection and the permissions of the folder, and try again.",
        ) from error
