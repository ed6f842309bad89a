"""Real images for the check, from the data set that a card names, if it is available. Nothing is downloaded."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.contract.errors import ZooError
from zoo.contract.specs import Dataset
from zoo.data.batches import read_item
from zoo.data.datasets import load_dataset
from zoo.data.images import fit_image
from zoo.files.card import Card
from zoo.registry.registry import Registry

COUNT = 8


@dataclass(frozen=True)
class RealImages:
    """Images of a data set.

    Args:
        images: uint8 `[C, H, W]` each, of the model's size.
        source: where they are from, or why there are none, in a few words.
        names: of each, such as `digits test 51`.
    """

    images: tuple[npt.NDArray[np.uint8], ...]
    source: str
    names: tuple[str, ...] = ()


def real_images(registry: Registry, card: Card, root: Path) -> RealImages:
    """Up to `COUNT` images of the test split, spread over it."""
    if not card.dataset:
        return RealImages((), "none: the weights are fresh, and have no data set")
    try:
        dataset = load_dataset(registry.find(Dataset, card.dataset_name), root, "test")
        chosen = np.linspace(0, len(dataset) - 1, min(COUNT, len(dataset))).astype(int)
        images = tuple(fit_image(read_item(dataset, int(index))[0], card.preprocess) for index in chosen)
    except ZooError:  # its cause names local paths, which may not be in a manifest
        return RealImages((), f"none: {card.dataset} test was not available")
    names = tuple(f"{card.dataset} test {index}" for index in chosen)
    return RealImages(images, f"{len(images)} of {card.dataset} test", names)
