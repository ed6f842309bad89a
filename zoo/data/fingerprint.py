"""One digest of everything that determines the decoded pixels of a data set of files."""

import hashlib
import inspect
import json
import os
from pathlib import Path
from typing import Any

import PIL
from torch import Tensor

from zoo.contract.preprocess import Preprocess
from zoo.data import images
from zoo.data.batches import MapDataset
from zoo.data.images import border_colour
from zoo.version import __version__


def fingerprint(dataset: MapDataset, labels: Tensor | None, preprocess: Preprocess) -> str | None:
    """Hash the files' paths, sizes and times, the labels, the image size, and the code that reads the images.

    Returns:
        64 hex digits, or `None` if the data set has no attribute `files` with the file of each image.
    """
    files = getattr(dataset, "files", None)
    if files is None or labels is None or not len(files) == len(labels) == len(dataset):
        return None
    sha = hashlib.sha256(json.dumps([*_code(dataset), *geometry(preprocess)]).encode())
    for file, label in zip(files, labels.tolist(), strict=True):
        try:
            status = os.stat(file)  # noqa: PTH116  (files may be strings)
            facts = f"{label} {status.st_size} {status.st_mtime_ns}"
        except OSError as error:
            facts = f"{label} {error.errno}"
        sha.update(f"{facts} {os.path.abspath(file)}\0".encode(errors="surrogateescape"))  # noqa: PTH100
    return sha.hexdigest()


def geometry(preprocess: Preprocess) -> tuple[Any, ...]:
    """Return the fields of `preprocess` that determine the pixels. Mean and std are applied later, but to borders."""
    fields = preprocess.channels, *preprocess.size, preprocess.shorter_side, preprocess.interpolation
    fill = border_colour(preprocess) if preprocess.crop_mode == "border" else ()
    turned = ("exif_orientation",) if preprocess.exif_orientation else ()
    return (*fields, *turned) if preprocess.crop_mode == "center" else (*fields, preprocess.crop_mode, *fill, *turned)


def _code(dataset: MapDataset) -> tuple[str, ...]:
    kind = type(dataset)
    try:
        source = inspect.getsourcefile(kind)
        own = [Path(source)] if source else []
    except TypeError:
        own = []
    package = sorted(own[0].parent.glob("*.py")) if own and "." in kind.__module__ else own  # modules it may import
    return (
        __version__,
        PIL.__version__,
        f"{kind.__module__}.{kind.__qualname__}",
        *(_sha256(path) for path in (*own, *package)),
        _sha256(Path(images.__file__)),
    )


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
