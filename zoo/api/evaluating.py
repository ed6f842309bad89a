"""`zoo.evaluate`: measure a model, or exported files beside their model, on a data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from zoo.api.evaluation.measurement import ALL, Measurement
from zoo.api.evaluation.subjects import open_subjects
from zoo.api.exporting import ModelLike, check_names
from zoo.api.installed import registry_of
from zoo.api.progress import reporting
from zoo.contract.callback import Callback
from zoo.contract.errors import UsageError
from zoo.contract.preprocess import Preprocess
from zoo.data.read_options import MEMORY_LIMIT, MOST_WORKERS, ReadOptions
from zoo.evaluation import BATCH_SIZE
from zoo.evaluation.agreement import ComparedEvaluation, ModelEvaluation
from zoo.evaluation.all_images import SPLITS
from zoo.evaluation.evaluate import Evaluation
from zoo.files import folders
from zoo.models.arguments import check_integer, check_number, check_path
from zoo.models.devices import pick_device
from zoo.models.exported import ArtifactOptions
from zoo.models.importing.stated import check_labels as stated_labels
from zoo.models.load import Model
from zoo.registry.image_folders import find_data
from zoo.registry.registry import Registry


@dataclass(frozen=True)
class DatasetEvaluation(Evaluation):
    """The metrics of a model on a split of a data set; of an export folder, those of its first artifact.

    Args:
        model: its name.
        dataset: the data set that it was measured on.
        split: the split of it, `train` or `test`; or `all`.
        classes: class names, in the order of the confusion matrix.
        skipped: the number of images left out because they cannot be read.
        artifacts: the metrics of each exported file by its name, and how it compares with `against`. For a model that
            is no export, its own under its name if there is something to compare it with, else nothing.
        against: the metrics of the model that these are compared with; `None` if there is none.
    """

    model: str
    dataset: str
    split: str
    classes: tuple[str, ...]
    skipped: int
    artifacts: Mapping[str, ComparedEvaluation] = field(default_factory=dict)
    against: ModelEvaluation | None = None


def evaluate(
    model: Model | str | PathLike[str],
    *,
    data: str | PathLike[str] | None = None,
    split: Literal["train", "test", "all"] = "test",
    against: ModelLike | None = None,
    formats: Sequence[str] = (),
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
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

    An exported file is run itself, and compared with the model that it was exported from, image by image: with
    `against`, or else with the stored weights that the export folder names, if they have the digest that was exported.

    Args:
        model: a loaded model, an `ARCH.TAG`, or the path of a weights file, of an export folder, of an artifact in
            one, or of a single exported file of any origin.
        data: the name of a data set, or the path of a folder of images; by default the data set that the weights were
            trained on. Its classes must be among the labels of the model.
        split: `train`, `test`, or `all` for the images of both.
        against: the model to compare with; see `zoo.export` for what it may be.
        formats: the formats of an export folder to measure; by default all.
        labels: the class names of a single exported file, one for each logit; by default those that it carries, or
            those of `against`.
        preprocess: how images are prepared for a single exported file; by default as it says, or as for `against`.
        data_root: the folder of data sets; by default `$ZOO_DATA`, or a folder in your cache.
        download: download the data set, and weights that a plugin provides, if they are missing.
        batch_size: images that go through the model at once.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`. Exported files run on the CPU with `auto`.
        workers: processes that read images; by default one a core, up to 8.
        memory_limit: GiB of decoded images to keep in memory; a larger split is read from disk.
        cache: keep decoded images on disk for the next time.
        skip_corrupt: leave out images that cannot be read, instead of raising.
        trust: run an artifact in this process; by default it is run in a process of its own, with limits.
        expect_digest: the digest that a named model must have; see `zoo.load`. For a single file, its SHA-256.
        progress: show progress on standard error, or in a notebook.
        callback: receives messages and progress.
        registry: of plugins; the installed ones by default.

    Raises:
        UsageError: no data set is named, the device is unknown, a number is out of range, or labels or preprocessing
            do not fit the file.
        DataError: the data set is missing or damaged, or has other classes than the model.
        WeightsError: the weights are damaged, or the logits are not finite.
        ExportError, DifferenceError: the export folder was changed, or an artifact does not run.

    Example:
        >>> import zoo
        >>> zoo.evaluate("lenet5.digits", data="digits").top1  # doctest: +SKIP
        0.98...
        >>> result = zoo.evaluate("exports/lenet5.digits")  # doctest: +SKIP
        >>> [each.agreement for each in result.artifacts.values()]  # doctest: +SKIP
        [1.0, 1.0]
    """
    registry = registry_of(registry)
    check_integer("batch_size", batch_size, 1)
    check_integer("workers", workers, 0, MOST_WORKERS + 1)
    check_number("memory_limit", memory_limit)
    check_path("data_root", data_root)
    check_path("data", data)
    if split not in (ALL, *SPLITS):
        raise UsageError(f"There is no split {split!r}.", "Use train, test or all.")
    check_names(formats=formats)
    if isinstance(model, nn.Module):
        raise UsageError(
            f"The model is a {type(model).__name__} without labels and preprocessing, so it cannot be evaluated.",
            "Pass what zoo.load returns, an ARCH.TAG or a path.",
        )
    target = pick_device(device)
    options = ArtifactOptions(
        formats=tuple(formats),
        single=True,
        labels=None if labels is None else stated_labels(labels, "labels"),
        preprocess=preprocess,
        device="cpu" if device == "auto" else target.type,
        trust=trust,
        expect_digest=expect_digest,
    )
    subjects = open_subjects(registry, model, against, options, download=download)
    with reporting(progress, callback) as report:
        for text in subjects.messages:
            report.on_message(text)
        for text in subjects.warnings:
            report.on_message(text, warning=True)
        reading = ReadOptions(
            workers=workers,
            memory_limit=memory_limit,
            cache=cache,
            skip_corrupt=skip_corrupt,
            on_progress=lambda split, done, n: report.on_progress(f"reading {split} images", done, n),
        )
        named, root = None, None if data_root is None else Path(data_root)
        if data is not None:
            named, root = find_data(registry, fspath(data), root)
        measure = Measurement(registry, split, folders.data_root(root), named, download, batch_size, reading, report)
        reference = None
        if subjects.against is not None:
            reference = measure(subjects.against, subjects.against.name, target, decide=True)
        measured = {}
        for name, open_subject in subjects.models.items():
            where = torch.device("cpu") if subjects.exported else target
            measured[name] = measure(open_subject(), name, where, decide=reference is not None)
    first = next(iter(measured.values()))
    return DatasetEvaluation(
        **vars(first.evaluation),
        model=subjects.name,
        dataset=first.dataset,
        split=split,
        classes=first.classes,
        skipped=first.skipped,
        artifacts={
            name: ComparedEvaluation(
                **vars(each.evaluation), flips=None if reference is None else each.flips(reference)
            )
            for name, each in measured.items()
            if subjects.exported or reference is not None
        },
        against=None if reference is None else ModelEvaluation(**vars(reference.evaluation), model=reference.name),
    )
