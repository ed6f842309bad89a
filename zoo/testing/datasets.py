"""Check a data set: both splits load and hold what the spec says."""

from pathlib import Path

from zoo.data import class_names, load_split
from zoo.images import fit_image
from zoo.plugins import discover
from zoo.preprocess import Preprocess
from zoo.registry import Registry
from zoo.specs import Dataset

LOOKED_AT = 64  # images of each split


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
        images = load_split(entry, root, split)
        classes = class_names(entry, images)
        told = entry.spec.splits.get(split, len(images))
        assert 0 < len(images) == told, f"{name}: {split} holds {len(images)} images, and {told} are declared"
        for index in range(min(LOOKED_AT, len(images))):
            image, label = images[index]
            assert 0 <= int(label) < len(classes), f"{name}: {split} {index} has the label {label}"
            channels, *size = shape or (3, 8, 8)
            fit_image(image, Preprocess(size=(size[0], size[1]), mean=(0.5,) * channels, std=(0.5,) * channels))
            if shape:
                found = image.shape[:2] if hasattr(image, "shape") else image.size[::-1]
                assert tuple(found) == tuple(size), f"{name}: {split} {index} is {tuple(found)}, not {tuple(size)}"
