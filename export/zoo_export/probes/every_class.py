"""Real images of every class, drawn at random from the test split that a card names. Nothing is downloaded."""

from pathlib import Path

import numpy as np

from zoo.contract.errors import ZooError
from zoo.contract.specs import Dataset
from zoo.data.batches import read_item
from zoo.data.datasets import load_dataset
from zoo.data.images import fit_image
from zoo.files.card import Card
from zoo.registry.registry import Registry
from zoo_export.probes.real_images import RealImages

READS = 20  # images that are looked at for each that is taken, to find rare classes


def images_of_every_class(registry: Registry, card: Card, root: Path, seed: int, most: int) -> RealImages:
    """At most `most` images of the test split, as many of each class as of the others, drawn with `seed`."""
    if not card.dataset:
        return RealImages((), "none: the weights are fresh, and have no data set")
    try:
        dataset = load_dataset(registry.find(Dataset, card.dataset_name), root, "test")
        order = np.random.default_rng((seed, 2)).permutation(len(dataset))[: READS * most]
        each = max(1, most // len(card.classes))
        taken: dict[int, list[tuple[int, object]]] = {}
        for index in map(int, order):
            image, label = read_item(dataset, index)
            of_class = taken.setdefault(label, [])
            if len(of_class) < each:
                of_class.append((index, image))
            if sum(map(len, taken.values())) >= min(most, each * len(card.classes)):
                break
        chosen = [pair for pairs in taken.values() for pair in pairs][:most]
        images = tuple(fit_image(image, card.preprocess) for _, image in chosen)
    except ZooError as error:
        return RealImages((), f"none. {error.cause.rstrip('.')}")
    of = f"{len(images)} of {card.dataset} test, of {len(taken)} of {len(card.classes)} classes"
    return RealImages(images, of, tuple(f"{card.dataset} test {index}" for index, _ in chosen))
