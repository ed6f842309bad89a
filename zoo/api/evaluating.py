"""`zoo.evaluate`: measure a model on a data set."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from zoo.api.installed import registry_of
from zoo.api.loading import load
from zoo.api.progress import reporting
from zoo.contract.callback import Callback
from zoo.contract.errors import DataError, UsageError, WeightsError
from zoo.contract.specs import Dataset, Loss
from zoo.data.corrupt import corrupt_warning, refuse_corrupt
from zoo.data.datasets import class_names, load_dataset, open_split
from zoo.data.read_options import MEMORY_LIMIT, MOST_WORKERS, ReadOptions
from zoo.evaluation import BATCH_SIZE
from zoo.evaluation.evaluate import Evaluation
from zoo.evaluation.evaluate import evaluate as measure
from zoo.files import folders
from zoo.models.arguments import check_integer, check_number, check_path
from zoo.models.devices import explain_out_of_memory, pick_device
from zoo.models.load import Model
from zoo.models.losses import build_loss
from zoo.registry.registry import Registry


@dataclass(frozen=True)
class DatasetEvaluation(Evaluation):
    """The metrics of a model on a split of a data set.

    Args:
        model: its name.
        dataset: the data set that it was measured on.
        split: the split of it, `train` or `test`.
        classes: class names, in the order of the confusion matrix.
        skipped: the number of images left out because they cannot be read.
    """

    model: str
    dataset: str
    split: str
    classes: tuple[str, ...]
    skipped: int


def evaluate(
    model: Model | str | PathLike[str],
    *,
    data: str | None = None,
    split: Literal["train", "test"] = "test",
    data_root: str | PathLike[str] | None = None,
    download: bool = False,
    batch_size: int = BATCH_SIZE,
    device: str = "auto",
    workers: int | None = None,
    memory_limit: float = MEMORY_LIMIT,
    cache: bool = True,
    skip_corrupt: bool = False,
    trust: bool = False,
    expect_digest: str | None = None,
    progress: bool = False,
    callback: Callback | None = None,
    registry: Registry | None = None,
) -> DatasetEvaluation:
    """Measure accuracy, cross-entropy, calibration and the confusion matrix of a model, in float32.

    Args:
        model: a loaded model, an `ARCH.TAG`, or the path of a weights file, an export folder or an artifact in one.
        data: the name of a data set; by default the one that the weights were trained on.
        split: `train` or `test`.
        data_root: the folder of data sets; by default `$ZOO_DATA`, or a folder in your cache.
        download: download the data set, and weights that a plugin provides, if they are missing.
        batch_size: images that go through the model at once.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        workers: processes that read images; by default one a core, up to 8.
        memory_limit: GiB of decoded images to keep in memory; a larger split is read from disk.
        cache: keep decoded images on disk for the next time.
        skip_corrupt: leave out images that cannot be read, instead of raising.
        trust: run an artifact in this process; by default it is run in a process of its own, with limits.
        expect_digest: the digest that a named model must have; see `zoo.load`.
        progress: show progress on standard error, or in a notebook.
        callback: receives messages and progress.
        registry: of plugins; the installed ones by default.

    Raises:
        UsageError: no data set is named, the device is unknown, or a number is out of range.
        DataError: the data set is missing or damaged, or has other classes than the model.
        WeightsError: the weights are damaged, or the logits are not finite.

    Example:
        >>> import zoo
        >>> zoo.evaluate("lenet5.digits", data="digits").top1  # doctest: +SKIP
        0.98...
    """
    registry = registry_of(registry)
    check_integer("batch_size", batch_size, 1)
    check_integer("workers", workers, 0, MOST_WORKERS + 1)
    check_number("memory_limit", memory_limit)
    check_path("data_root", data_root)
    if isinstance(model, nn.Module):
        raise UsageError(
            f"The model is a {type(model).__name__} without labels and preprocessing, so it cannot be evaluated.",
            "Pass what zoo.load returns, an ARCH.TAG or a path.",
        )
    target = pick_device(device)
    loaded = (
        model
        if isinstance(model, Model)
        else load(model, expect_digest=expect_digest, trust=trust, download=download, registry=registry)
    )
    name = data or loaded.card.dataset_name
    if not name:
        raise UsageError(f"{loaded.name} does not record a training data set.", "Name a data set with `--data`.")
    entry = registry.find(Dataset, name)
    root = folders.data_root(None if data_root is None else Path(data_root))
    images = load_dataset(entry, root, split, download)
    classes = class_names(entry, images)
    if classes != loaded.labels:
        raise DataError(
            f"The classes of {entry.spec.name} ({_first(classes)}) are not those of {loaded.name} "
            f"({_first(loaded.labels)}).",
            "Use the data set that its card names, or one with the same class names.",
        )
    loss = build_loss(registry.find(Loss, "cross_entropy"))
    with reporting(progress, callback) as report:
        options = ReadOptions(
            workers=workers,
            memory_limit=memory_limit,
            cache=cache,
            skip_corrupt=skip_corrupt,
            on_progress=lambda split, done, n: report.on_progress(f"reading {split} images", done, n),
        )
        with explain_out_of_memory(target):
            held = open_split(entry, root, split, images, loaded.preprocess, len(classes), target, options)
        refuse_corrupt([held], skip=skip_corrupt)
        for note in (*held.notes, *corrupt_warning([held])):
            report.on_message(note.removeprefix("warning: "), warning=note.startswith("warning: "))
        with _moved(loaded.module, target) as module:
            measured = measure(
                module,
                held.batches,
                loaded.preprocess,
                loss,
                num_classes=len(classes),
                device=target,
                batch_size=batch_size,
                on_progress=lambda done, n: report.on_progress(f"evaluating {loaded.name}", done, n),
            )
    if not math.isfinite(measured.loss):
        raise WeightsError(
            f"{loaded.name} gives logits that are not finite on {entry.spec.name}.",
            "Train it again with a lower `--lr`.",
        )
    return DatasetEvaluation(
        **vars(measured),
        model=loaded.name,
        dataset=entry.spec.name,
        split=split,
        classes=classes,
        skipped=len(held.corrupt),
    )


@contextmanager
def _moved(module: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """The module on `device`, and back on its own device afterwards."""
    own = next((value.device for value in module.state_dict().values()), device)
    try:
        yield module.to(device)
    finally:
        module.to(own)


def _first(classes: tuple[str, ...]) -> str:
    return f"{len(classes)}: {', '.join(classes[:3])}{', …' if len(classes) > 3 else ''}"
