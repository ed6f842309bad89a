"""Read CIFAR-10 and CIFAR-100 in both published versions, without unpickling.

The binary version consists of records of label bytes and 3,072 pixel bytes; `--download` downloads it. The Python
version consists of pickles, and unpickling a file can run any code. So its md5 is compared with the published one,
`pickletools` lists the opcodes without running them, and pixels and labels are taken from their arguments.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009, and the page
https://www.cs.toronto.edu/~kriz/cifar.html, which states both layouts.
"""

import hashlib
import pickletools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.contract.errors import DataError
from zoo.files.regular import read_regular
from zoo_datasets.arrays import DOWNLOAD_AGAIN, ImageArrays
from zoo_datasets.class_names import CIFAR10 as CIFAR10_NAMES
from zoo_datasets.class_names import CIFAR100 as CIFAR100_NAMES

PIXELS = 3 * 32 * 32
MAX_SIZE = 2**28  # bytes; the largest file of CIFAR-100 has 154 MB
_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"}
_INTEGERS = {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"}


@dataclass(frozen=True)
class Batch:
    """One file: its name and md5 in the Python version, and its number of images. The binary version appends `.bin`."""

    name: str
    md5: str
    count: int


@dataclass(frozen=True)
class Cifar:
    """The layout of one of the two data sets.

    Args:
        archive, archive_md5: of the binary version.
        binary, python: the folders of the two versions under the data root.
        label_bytes: the number of label bytes in a binary record; the last one is the class.
        label_key: the key of the labels in the Python version.
        batches: the files of each split.
    """

    classes: tuple[str, ...]
    archive: str
    archive_md5: str
    binary: str
    python: str
    label_bytes: int
    label_key: str
    batches: dict[str, tuple[Batch, ...]]


CIFAR10 = Cifar(
    classes=CIFAR10_NAMES,
    archive="cifar-10-binary.tar.gz",
    archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
    binary="cifar-10-batches-bin",
    python="cifar-10-batches-py",
    label_bytes=1,
    label_key="labels",
    batches={
        "train": (
            Batch("data_batch_1", "c99cafc152244af753f735de768cd75f", 10_000),
            Batch("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec", 10_000),
            Batch("data_batch_3", "54ebc095f3ab1f0389bbae665268c751", 10_000),
            Batch("data_batch_4", "634d18415352ddfa80567beed471001a", 10_000),
            Batch("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb", 10_000),
        ),
        "test": (Batch("test_batch", "40351d587109b95175f43aff81a1287e", 10_000),),
    },
)

CIFAR100 = Cifar(
    classes=CIFAR100_NAMES,
    archive="cifar-100-binary.tar.gz",
    archive_md5="03b5dce01913d631647c71ecec9e9cb8",
    binary="cifar-100-binary",
    python="cifar-100-python",
    label_bytes=2,
    label_key="fine_labels",
    batches={
        "train": (Batch("train", "16019d7e3df5f24257cddd939b257f8d", 50_000),),
        "test": (Batch("test", "f0ef6b0ae62326f3e7ffdfab6717acfc", 10_000),),
    },
)


def missing(layout: Cifar, root: Path, split: str) -> DataError | None:
    """Return an error if neither version of `split` is complete, else `None`."""
    absent = {
        layout.binary: [n for n in _names(layout, split, ".bin") if not (root / layout.binary / n).is_file()],
        layout.python: [n for n in _names(layout, split, "") if not (root / layout.python / n).is_file()],
    }
    if not all(absent.values()):
        return None
    download = f"Unpack {layout.archive} in {root}, or use --download."
    for folder, names in absent.items():
        if len(names) < len(layout.batches[split]):
            return DataError(f"The folder {root / folder} does not contain {', '.join(names)}.", download)
    files = ", ".join(absent[layout.binary])
    return DataError(f"The {split} images ({files}) are not in {root / layout.binary}.", download)


def read(layout: Cifar, root: Path, split: str) -> ImageArrays:
    """Return the images of `split`, uint8 `[N, 32, 32, 3]` RGB, and their labels, int64 `[N]`.

    Raises:
        DataError: a file is missing, damaged or not the published one.
    """
    problem = missing(layout, root, split)
    if problem:
        raise problem
    binary = all((root / layout.binary / name).is_file() for name in _names(layout, split, ".bin"))
    read_batch = _binary_batch if binary else _python_batch
    pixels, labels = zip(*(read_batch(layout, root, batch) for batch in layout.batches[split]), strict=True)
    planes = np.concatenate(pixels).reshape(-1, 3, 32, 32)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))  # [N, C, H, W] -> [N, H, W, C]
    return ImageArrays(images, np.concatenate(labels), layout.classes)


def _names(layout: Cifar, split: str, suffix: str) -> list[str]:
    return [batch.name + suffix for batch in layout.batches[split]]


def _bytes(path: Path) -> bytes:
    try:
        return read_regular(path, MAX_SIZE)
    except OSError as error:
        raise DataError(f"The file {path} cannot be read ({error.strerror}).", DOWNLOAD_AGAIN) from error


def _binary_batch(layout: Cifar, root: Path, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    path = root / layout.binary / f"{batch.name}.bin"
    data, record = _bytes(path), layout.label_bytes + PIXELS
    if len(data) != batch.count * record:
        raise DataError(f"The file {path} has {len(data)} bytes, not {batch.count * record}.", DOWNLOAD_AGAIN)
    records = np.frombuffer(data, dtype=np.uint8).reshape(batch.count, record)
    labels = records[:, layout.label_bytes - 1].astype(np.int64)
    if labels.max() >= len(layout.classes):
        raise DataError(f"The file {path} has the label {labels.max()}, which is out of range.", DOWNLOAD_AGAIN)
    return records[:, layout.label_bytes :], labels


def _python_batch(layout: Cifar, root: Path, batch: Batch) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    path = root / layout.python / batch.name
    data = _bytes(path)
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != batch.md5:
        raise DataError(f"The file {path} is damaged, or not the published file.", DOWNLOAD_AGAIN)
    pixels, in_columns, key, labels = b"", False, "", []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _STRINGS and isinstance(argument, str):
            if len(argument) == batch.count * PIXELS:
                pixels = argument.encode("latin-1")
            else:
                key = argument
        elif opcode.name in ("NEWTRUE", "NEWFALSE") and not pixels:
            in_columns = (
                opcode.name == "NEWTRUE"
            )  # NumPy stores whether the array is in Fortran order just before the pixels
        elif opcode.name in _INTEGERS and isinstance(argument, int) and key == layout.label_key:
            labels.append(argument)
    if not pixels or len(labels) != batch.count:
        raise DataError(f"The file {path} has an unexpected layout.", f"Use {layout.archive} instead.")
    shape = (batch.count, PIXELS)
    table = np.frombuffer(pixels, dtype=np.uint8).reshape(shape, order="F" if in_columns else "C")
    return table, np.array(labels, dtype=np.int64)
