"""Real images for the check, from the data set that a card names, where it is at hand. Nothing is downloaded."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from zoo.batches import read_item
from zoo.card import Card
from zoo.data import load_split
from zoo.errors import ZooError
from zoo.images import fit_image
from zoo.registry import Registry
from zoo.specs import Dataset

COUNT = 8


def real_images(registry: Registry, card: Card, root: Path) -> tuple[list[npt.NDArray[np.uint8]], str]:
    """Up to `COUNT` images of the test split, spread over it, and where they are from or why there are none.

    Returns:
        uint8 `[C, H, W]` each, of the model's size; and a short text.
    """
    if not card.dataset:
        return [], "none: the weights are fresh, and no data set goes with them"
    try:
        dataset = load_split(registry.find(Dataset, card.dataset), root, "test")
        chosen = np.linspace(0, len(dataset) - 1, min(COUNT, len(dataset))).astype(int)
        images = [fit_image(read_item(dataset, int(index))[0], card.preprocess) for index in chosen]
    except ZooError:  # its cause names local paths, which no manifest may carry
        return [], f"none: {card.dataset} test was not at hand"
    return images, f"{len(images)} of {card.dataset} test"
