"""Check a data set: both splits load and match the spec."""

import operator
from pathlib import Path

from PIL.ImageMode import getmode

from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Dataset
from zoo.data.datasets import class_names, load_dataset
from zoo.data.images import as_pil_image, fit_image
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry

SAMPLED = 64  # images of each split, evenly spaced


def check_dataset(name: str, root: Path, registry: Registry | None = None) -> None:
    """Check the data set `name`, whose files are in `root`.

    Raises:
        AssertionError: a split is empty or does not have the declared size, or an image or label violates the contract.
        ZooError: it cannot be loaded.
    """
    registry = registry or Registry(discover())
    entry = registry.find(Dataset, name)
    shape = entry.spec.input_shape
    for split in ("train", "test"):
        images = load_dataset(entry, root, split)
        classes = class_names(entry, images)
        declared = entry.spec.splits.get(split, len(images))
        assert 0 < len(images) == declared, f"{name}: {split} has {len(images)} images, but declares {declared}"
        step = max(1, (len(images) - 1) // (SAMPLED - 1))
        for index in {*range(0, len(images), step), len(images) - 1}:
            image, label = images[index]
            integer = hasattr(label, "__index__") and not getattr(label, "is_floating_point", bool)()
            assert integer, f"{name}: {split} image {index} has the label {label!r}, which is not an integer"
            assert 0 <= operator.index(label) < len(classes), f"{name}: {split} image {index} has the label {label}"
            channels, *size = shape or (3, 8, 8)
            actual = 1 if getmode(as_pil_image(image).mode).basemode == "L" else 3
            assert shape is None or actual == channels, (
                f"{name}: {split} image {index} has {actual} channels, not {channels}"
            )
            fit_image(image, Preprocess(size=(size[0], size[1]), mean=(0.5,) * channels, std=(0.5,) * channels))
            if shape:
                actual = image.shape[:2] if hasattr(image, "shape") else image.size[::-1]
                message = f"{name}: {split} image {index} has the size {tuple(actual)}, not {tuple(size)}"
                assert tuple(actual) == tuple(size), message
