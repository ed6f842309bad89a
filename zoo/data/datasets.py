"""Load a data set by name: its two splits, with the preprocessing that an architecture needs."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from zoo.contract.errors import DataError, DeviceError, ZooError, refuse_out_of_memory
from zoo.contract.names import check_class_names
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture, Dataset
from zoo.contract.wording.author_code import SHOW_TRACEBACK, describe_error
from zoo.data.batches import Batches, MapDataset, read_item
from zoo.data.corrupt import corrupt_warning, refuse_corrupt
from zoo.data.fitting import ImageStats, InputOverrides, fit_preprocess
from zoo.data.images import as_pil_image
from zoo.data.load_split import LoadedSplit, load_split
from zoo.data.read_options import ReadOptions
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry

SAMPLED = 512  # images, spread over the split, whose shapes decide the input shape if the spec has none


@dataclass
class LoadedDataset:
    """Both splits of a data set, and the preprocessing for an architecture.

    `train` and `test` yield uint8 images; `preprocess` converts them to the model's float32 input.

    Args:
        skipped: for each split with corrupt images, how many were left out.
        notes: remarks for the user on how the data set was read, a line each.
        checksums: for each split, the checksum of the pixels and labels in order.
        test_files: the file of each image of the test split, those that cannot be read included; empty if unknown.
        test_index: the position in `test_files` of each image of `test`, int64; `None` if they are the same.
    """

    name: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    train: Batches
    test: Batches
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    checksums: Mapping[str, int] = field(default_factory=dict)
    test_files: Sequence[Any] = ()
    test_index: Tensor | None = None

    def test_file(self, index: int) -> str:
        """The path of an image of `test`; empty if it is not known."""
        if not len(self.test_files):
            return ""
        return os.fsdecode(self.test_files[index if self.test_index is None else int(self.test_index[index])])


def open_dataset(
    entry: Entry[Dataset],
    architecture: Architecture,
    root: Path,
    device: torch.device,
    *,
    overrides: InputOverrides | None = None,
    download: bool = False,
    options: ReadOptions | None = None,
) -> LoadedDataset:
    """Load both splits of a data set for training `architecture`. Every image is read once, or taken from the cache.

    Args:
        root: the folder that contains the data set.
        overrides: image size and channels that the user chose.
        download: download the data set if it is missing.

    Raises:
        DataError: files are missing or invalid, the data set has a single class, or images are corrupt and
            `options.skip_corrupt` is not set.
        UsageError: the architecture does not accept the size or channels in `overrides`.
    """
    datasets = {split: load_dataset(entry, root, split, download) for split in ("train", "test")}
    classes = class_names(entry, datasets["train"])
    stats = _image_stats(entry.spec, datasets["train"])
    preprocess = fit_preprocess(architecture, stats, overrides or InputOverrides())
    if len(classes) == 1:
        raise DataError(
            f"The data set {entry.spec.name} has only one class, {classes[0]}.",
            "Add images of a second class; a classifier needs at least two.",
        )
    splits = [
        open_split(entry, root, split, dataset, preprocess, len(classes), device, options)
        for split, dataset in datasets.items()
    ]
    refuse_corrupt(splits, skip=options is not None and options.skip_corrupt)
    if not entry.spec.mean or len(entry.spec.mean) != preprocess.channels:
        mean, std = splits[0].moments().mean_and_std()
        preprocess = replace(preprocess, mean=mean, std=std)
    return LoadedDataset(
        name=entry.spec.name,
        classes=classes,
        preprocess=preprocess,
        train=splits[0].batches,
        test=splits[1].batches,
        skipped={split.name: len(split.corrupt) for split in splits if split.corrupt},
        checksums={split.name: split.checksum() for split in splits},
        test_files=image_files(datasets["test"]),
        test_index=splits[1].index,
        notes=(
            *plugin_notes(datasets["train"]),
            *([] if stats.square else [shape_note(preprocess)]),
            *dict.fromkeys(note for split in splits for note in split.notes),
            *corrupt_warning(splits),
        ),
    )


def open_split(
    entry: Entry[Dataset],
    root: Path,
    split: str,
    dataset: MapDataset,
    preprocess: Preprocess,
    num_classes: int,
    device: torch.device,
    options: ReadOptions | None = None,
) -> LoadedSplit:
    """Load one split of a data set in `root`, with the cache that belongs to it. See `load_split`."""
    source = f"{entry.plugin.distribution} {entry.spec.name} {root.absolute()} {split}"
    return load_split(dataset, preprocess, num_classes, device, options, name=split, source=source)


def load_dataset(entry: Entry[Dataset], root: Path, split: str, download: bool = False) -> MapDataset:
    """Call the plugin's `load` for one split.

    Raises:
        DataError: files are missing or invalid, or the plugin's code raised an exception.
    """
    load: Callable[..., MapDataset] = resolve(entry, entry.spec.load)
    try:
        dataset = load(root, split, download)
        len(dataset)
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        refuse_out_of_memory(error)
        raise DataError(
            f"The data set {entry.spec.name} of {entry.plugin.distribution} could not be loaded: "
            f"{describe_error(error)}",
            f"Check the files in {root}; {SHOW_TRACEBACK}",
        ) from error
    return dataset


def class_names(entry: Entry[Dataset], dataset: MapDataset) -> tuple[str, ...]:
    """Return the class names of a data set, from its spec or else from the loaded split.

    Raises:
        DataError: neither has class names, or a name cannot be recorded; see `check_class_names`.
    """
    names = entry.spec.classes or tuple(str(name) for name in getattr(dataset, "classes", ()))
    if not names:
        raise DataError(f"The data set {entry.spec.name} has no class names.", "Declare `classes` in its spec.")
    check_class_names(names, entry.spec.name)
    return names


def image_files(dataset: MapDataset) -> Sequence[Any]:
    """The path of the file of each image, a `str` or `PathLike`; empty if the data set does not name them."""
    files = getattr(dataset, "files", ())
    return files if isinstance(files, Sequence) and len(files) == len(dataset) else ()


def plugin_notes(dataset: MapDataset) -> tuple[str, ...]:
    """The remarks of a plugin on a data set that it has loaded."""
    notes = getattr(dataset, "notes", ())
    return tuple(map(str, notes)) if isinstance(notes, tuple | list) else ()


def shape_note(preprocess: Preprocess) -> str:
    """One line on what is done to images that are not square."""
    height, width = preprocess.size
    side = preprocess.shorter_side
    if side is None or preprocess.crop_mode == "squash":
        return f"images that are not square are stretched to {side or width}×{side or height} pixels"
    if preprocess.crop_mode == "border":
        return f"images that are not square are resized to {side} pixels on the longer side and padded"
    return (
        f"images that are not square are resized to {side} pixels on the shorter side, and only their centre of "
        f"{width}×{height} pixels is used"
    )


def _image_stats(spec: Dataset, train: MapDataset) -> ImageStats:
    shapes = {spec.input_shape} if spec.input_shape else set(_sample_shapes(train))
    sides = {side for shape in shapes for side in shape[1:]}
    return ImageStats(
        channels=max((shape[0] for shape in shapes), default=3),
        side=sides.pop() if len(sides) == 1 else None,
        mean=spec.mean,
        std=spec.std,
        square=all(height == width for _, height, width in shapes),
    )


def _sample_shapes(dataset: MapDataset) -> Iterator[tuple[int, int, int]]:
    for index in range(0, len(dataset), -(-len(dataset) // SAMPLED) or 1):  # over all: images may be sorted by class
        try:
            yield _shape(read_item(dataset, index)[0])
        except DeviceError:
            raise
        except ZooError:  # the scan reports all corrupt images
            continue


def _shape(item: Any) -> tuple[int, int, int]:
    image = as_pil_image(item)
    return (1 if Image.getmodebase(image.mode) == "L" else 3, image.height, image.width)
