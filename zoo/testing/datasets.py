"""Check a data set: both splits load and hold what the spec says."""

import operator
from pathlib import Path

from PIL.ImageMode import getmode

from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Dataset
from zoo.data.datasets import class_names, load_dataset
from zoo.data.images import as_pil_image, fit_image
from zoo.registry.discovery import discover
from zoo.registry.registry import Registry

LOOKED_AT = 64  # images of each split, from the first to the last


def check_dataset(name: str, root: Path, registry: Registry | None = None) -> None:
    """Check the data set `name`, whose files lie in `root`.

    Raises:
        AssertionError: a split is empty or not of the size declared, or an image or a label is not what the
            contract says.
        ZooError: it cannot be loaded.
    """
    registry = registry or Registry(discover())
    entry = registry.find(Dataset, name)
    shape = entry.spec.input_shape
    for split in ("train", "test"):
        images = load_dataset(entry, root, split)
        classes = class_names(entry, images)
        told = entry.spec.splits.get(split, len(images))
        assert 0 < len(images) == told, f"{name}: {split} holds {len(images)} images, and {told} are declared"
        step = max(1, (len(images) - 1) // (LOOKED_AT - 1))
        for index in {*range(0, len(images), step), len(images) - 1}:
            image, label = images[index]
            whole = hasattr(label, "__index__") and not getattr(label, "is_floating_point", bool)()
            assert whole, f"{name}: {split} {index} has the label {label!r}, which is no whole number"
            assert 0 <= operator.index(label) < len(classes), f"{name}: {split} {index} has the label {label}"
            channels, *size = shape or (3, 8, 8)
            found = 1 if getmode(as_pil_image(image).mode).basemode == "L" else 3
            assert shape is None or found == channels, f"{name}: {split} {index} has {found} channels, not {channels}"
            fit_image(image, Preprocess(size=(size[0], size[1]), mean=(0.5,) * channels, std=(0.5,) * channels))
            if shape:
                found = image.shape[:2] if hasattr(image, "shape") else image.size[::-1]
                assert tuple(found) == tuple(size), f"{name}: {split} {index} is {tuple(found)}, not {tuple(size)}"
