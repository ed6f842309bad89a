"""From the name of a data set to its two splits, fitted to an architecture."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from zoo.contract.errors import DataError, ZooError
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture, Dataset
from zoo.data.batches import Batches, MapDataset, read_item
from zoo.data.corrupt import counted, named, refuse_corrupt
from zoo.data.fitting import ImageStats, InputOverrides, fit
from zoo.data.images import picture
from zoo.data.load_split import Reading, Split, hold
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry

SAMPLE = 512  # images, spread over the split, looked at where a data set does not say what it holds


@dataclass
class Data:
    """A data set fitted to an architecture.

    `train` and `test` hold uint8 images; `preprocess` says how they become the model's float32 input.

    Args:
        skipped: of each split by name, how many images were left out because they cannot be read.
        notes: what a person should know of how it was read, a line each.
        checksums: of each split by name, of the pixels and labels in order.
    """

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    train: Batches
    test: Batches
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    checksums: Mapping[str, int] = field(default_factory=dict)


def open_data(
    entry: Entry[Dataset],
    architecture: Architecture,
    root: Path,
    device: torch.device,
    *,
    wanted: InputOverrides | None = None,
    download: bool = False,
    reading: Reading | None = None,
) -> Data:
    """Load both splits of a data set for training `architecture`. Every image is read once, unless a cache has it.

    Raises:
        DataError: the files are missing or unsound, or there is one class only; every image that cannot be read is
            named, unless it is to be skipped.
        UsageError: the size or channels asked for do not go with the architecture.
    """
    train, test = (load_split(entry, root, split, download) for split in ("train", "test"))
    classes = class_names(entry, train)
    preprocess = fit(architecture, _look(entry.spec, train), wanted or InputOverrides())
    if len(classes) == 1:
        raise DataError(
            f"The data set {entry.spec.name} has only one class, {classes[0]}, so there is nothing to tell apart.",
            "Give it a second class.",
        )
    splits = [
        hold_split(entry, root, split, data, preprocess, len(classes), device, reading)
        for split, data in (("train", train), ("test", test))
    ]
    refuse_corrupt(splits, skip=reading is not None and reading.skip_corrupt)
    if not entry.spec.mean or len(entry.spec.mean) != preprocess.channels:
        mean, std = splits[0].moments().mean_and_std()
        preprocess = replace(preprocess, mean=mean, std=std)
    bad = [split for split in splits if split.corrupt]
    return Data(
        name=entry.spec.name,
        classes=classes,
        preprocess=preprocess,
        train=splits[0].batches,
        test=splits[1].batches,
        skipped={split.name: len(split.corrupt) for split in bad},
        checksums={split.name: split.checksum() for split in splits},
        notes=(
            *_own_notes(train),
            *dict.fromkeys(note for split in splits for note in split.notes),
            *skipped_note(bad),
        ),
    )


def hold_split(
    entry: Entry[Dataset],
    root: Path,
    split: str,
    data: MapDataset,
    preprocess: Preprocess,
    num_classes: int,
    device: torch.device,
    reading: Reading | None = None,
) -> Split:
    """One split, loaded from `root`, made ready; see `hold`."""
    source = f"{entry.plugin.distribution} {entry.spec.name} {root.absolute()} {split}"
    return hold(data, preprocess, num_classes, device, reading, name=split, source=source)


def skipped_note(bad: Sequence[Split]) -> list[str]:
    """A line that says which images of these splits are left out; none where there are none."""
    return [f"warning: {counted(bad)} cannot be read and are left out: {named(bad)}"] if bad else []


def load_split(entry: Entry[Dataset], root: Path, split: str, download: bool = False) -> MapDataset:
    """One split, as its plugin gives it.

    Raises:
        DataError: the files are missing or unsound, or the plugin's code raised.
    """
    load: Callable[..., MapDataset] = resolve(entry, entry.spec.load)
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


def class_names(entry: Entry[Dataset], dataset: MapDataset) -> tuple[str, ...]:
    """The class names of a data set, from its spec or else from the loaded split.

    Raises:
        DataError: neither says.
    """
    names = entry.spec.classes or tuple(str(name) for name in getattr(dataset, "classes", ()))
    if not names:
        raise DataError(f"The data set {entry.spec.name} names no classes.", "Declare classes in its spec.")
    return names


def _own_notes(dataset: MapDataset) -> tuple[str, ...]:
    notes = getattr(dataset, "notes", ())
    return tuple(map(str, notes)) if isinstance(notes, tuple | list) else ()


def _look(data: Dataset, train: MapDataset) -> ImageStats:
    shapes = {data.input_shape} if data.input_shape else set(_shapes(train))
    sides = {side for shape in shapes for side in shape[1:]}
    return ImageStats(
        channels=max((shape[0] for shape in shapes), default=3),
        side=sides.pop() if len(sides) == 1 else None,
        mean=data.mean,
        std=data.std,
    )


def _shapes(data: MapDataset) -> Iterator[tuple[int, int, int]]:
    for index in range(0, len(data), -(-len(data) // SAMPLE) or 1):  # of all: they may lie class by class
        with suppress(ZooError):  # what cannot be read is named later, with all the others
            yield _shape(read_item(data, index)[0])


def _shape(image: Any) -> tuple[int, int, int]:
    seen = picture(image)
    return (1 if Image.getmodebase(seen.mode) == "L" else 3, seen.height, seen.width)
