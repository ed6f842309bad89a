"""From the name of a data set to its two splits, fitted to an architecture."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from zoo.batches import Batches, Labelled, Resident, hold, read_item
from zoo.errors import DataError, ZooError
from zoo.fitting import ImageStats, Wanted, fit
from zoo.images import picture
from zoo.preprocess import Preprocess
from zoo.refs import resolve
from zoo.registry import Entry
from zoo.specs import Architecture, Dataset

SAMPLE = 512  # images looked at where a data set does not say what it holds


@dataclass
class Data:
    """A data set fitted to an architecture.

    `train` and `test` hold uint8 images; `preprocess` says how they become the model's float32 input.
    """

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    train: Batches
    test: Batches


def open_data(
    entry: Entry[Dataset],
    architecture: Architecture,
    root: Path,
    device: torch.device,
    *,
    wanted: Wanted | None = None,
    download: bool = False,
    workers: int = 0,
) -> Data:
    """Load both splits of a data set for training `architecture`.

    Raises:
        DataError: the files are missing or unsound.
        UsageError: the size or channels asked for do not go with the architecture.
    """
    train, test = (load_split(entry, root, split, download) for split in ("train", "test"))
    classes = class_names(entry, train)
    preprocess = fit(architecture, _look(entry.spec, train), wanted or Wanted())
    held = hold(train, preprocess, len(classes), device, workers)
    if not entry.spec.mean or len(entry.spec.mean) != preprocess.channels:
        preprocess = measured(held, preprocess)
    return Data(entry.spec.name, classes, preprocess, held, hold(test, preprocess, len(classes), device, workers))


def load_split(entry: Entry[Dataset], root: Path, split: str, download: bool = False) -> Labelled:
    """One split, as its plugin gives it.

    Raises:
        DataError: the files are missing or unsound, or the plugin's code raised.
    """
    load: Callable[..., Labelled] = resolve(entry, entry.spec.load)
    try:
        dataset = load(root, split, download)
        len(dataset)
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"The data set {entry.spec.name} of {entry.plugin.distribution} could not be loaded: "
            f"{type(error).__name__}: {error}",
            f"Check the files in {root}.",
        ) from error
    return dataset


def class_names(entry: Entry[Dataset], dataset: Labelled) -> tuple[str, ...]:
    """The class names of a data set, from its spec or else from the loaded split.

    Raises:
        DataError: neither says.
    """
    names = entry.spec.classes or tuple(str(name) for name in getattr(dataset, "classes", ()))
    if not names:
        raise DataError(f"The data set {entry.spec.name} names no classes.", "Declare classes in its spec.")
    return names


def measured(train: Batches, preprocess: Preprocess) -> Preprocess:
    """`preprocess` with the mean and standard deviation of the training images: of all that are held in memory, of
    the first `SAMPLE` where they are streamed."""
    total = squares = torch.zeros(preprocess.channels, dtype=torch.float64)
    count = 0
    order = None if isinstance(train, Resident) else torch.arange(min(train.n, SAMPLE))
    for images, _ in train.epoch(256, order):
        pixels = images.cpu().double().transpose(0, 1).flatten(1) / 255
        total, squares, count = total + pixels.sum(1), squares + pixels.square().sum(1), count + pixels.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=1 / 255**2).sqrt()
    rounded = [tuple(round(float(value), 4) for value in values) for values in (mean, std)]
    return replace(preprocess, mean=rounded[0], std=rounded[1])


def _look(data: Dataset, train: Labelled) -> ImageStats:
    if data.input_shape:
        shapes = {data.input_shape}
    else:
        shapes = {_shape(read_item(train, index)[0]) for index in range(min(len(train), SAMPLE))}
    sides = {side for shape in shapes for side in shape[1:]}
    return ImageStats(
        channels=max((shape[0] for shape in shapes), default=3),
        side=sides.pop() if len(sides) == 1 else None,
        mean=data.mean,
        std=data.std,
    )


def _shape(image: Any) -> tuple[int, int, int]:
    seen = picture(image)
    return (1 if seen.mode in ("1", "L") else 3, seen.height, seen.width)
