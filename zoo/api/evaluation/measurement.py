"""Measure one model after another on the same split of a data set, for `zoo.evaluate`."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.contract.callback import Callback
from zoo.contract.errors import DataError, UsageError, WeightsError
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Dataset, Loss
from zoo.data.batches import MapDataset
from zoo.data.corrupt import corrupt_warning, refuse_corrupt
from zoo.data.datasets import class_names, load_dataset, open_split, plugin_notes
from zoo.data.load_split import LoadedSplit
from zoo.data.read_options import ReadOptions
from zoo.evaluation.agreement import Decisions, Flip, flips
from zoo.evaluation.all_images import load_all
from zoo.evaluation.evaluate import Evaluation, evaluate
from zoo.evaluation.relabelled import RelabelledSplit, class_positions
from zoo.models.devices import explain_out_of_memory
from zoo.models.load import Model
from zoo.models.losses import build_loss
from zoo.registry.registry import Entry, Registry

ALL = "all"  # in place of a split: the images of both
SHOWN = 10  # names in a list of classes


@dataclass(frozen=True)
class Measured:
    """What was measured of one model.

    Args:
        classes: its class names.
        labels: the class of each image as an index of these, int64 `[N]`, on the CPU.
        index: the index of each image in the data set; `None` if none was left out.
        files: the path of each image of the data set, if it has paths.
    """

    name: str
    evaluation: Evaluation
    dataset: str
    classes: tuple[str, ...]
    skipped: int
    decisions: Decisions
    labels: Tensor
    index: Tensor | None
    files: Sequence[object] | None

    def flips(self, model: "Measured") -> tuple[Flip, ...]:
        """The images for which this one and `model` predict different classes.

        Raises:
            DataError: they have other classes, or were measured on other images.
        """
        if self.classes != model.classes:
            raise DataError(
                f"The labels of {self.name} ({_first(self.classes)}) are not those of {model.name} "
                f"({_first(model.classes)}), so their predictions cannot be compared.",
                "Name the model that it was exported from with `--against`.",
            )
        if not torch.equal(self.labels, model.labels):
            raise DataError(
                f"{self.name} and {model.name} were measured on different images, as some cannot be read for both.",
                "Repair or remove the images that cannot be read.",
            )
        return flips(model.decisions, self.decisions, self.labels, self.classes, self.index, self.files)


@dataclass
class Measurement:
    """Measures models on a split. It is read once for all models that prepare their images alike.

    Args:
        data: the name of the data set; `None` for the one that the first model was trained on.
        root: the folder of data sets.
    """

    registry: Registry
    split: str
    root: Path
    data: str | None
    download: bool
    batch_size: int
    reading: ReadOptions
    report: Callback
    _splits: dict[tuple[Preprocess, torch.device], LoadedSplit] = field(default_factory=dict)

    def __call__(self, model: Model, name: str, device: torch.device, *, decide: bool) -> Measured:
        """Measure a model in float32.

        Args:
            name: of the model, for messages.
            device: of the images, and of the model while it is measured.
            decide: keep what it predicts for each image.

        Raises:
            UsageError: no data set is named.
            DataError: the data set is missing or damaged, or has other classes than the model.
            WeightsError: the logits are not finite.
        """
        self.data = self.data or model.card.dataset_name
        if not self.data:
            raise UsageError(f"{name} does not record a training data set.", "Name a data set with `--data`.")
        entry = self.registry.find(Dataset, self.data)
        images = self._images(entry)
        classes = class_names(entry, images)
        positions = class_positions(classes, model.labels) if classes != model.labels else []
        if positions is None:
            raise _mismatch(entry.spec.name, classes, name, model.labels)
        key = (model.preprocess, device)
        if key not in self._splits:
            with explain_out_of_memory(device):
                loaded = open_split(
                    *(entry, self.root, self.split, images, model.preprocess, len(classes), device, self.reading)
                )
            refuse_corrupt([loaded], skip=self.reading.skip_corrupt)
            for note in (*self._what_is_judged(entry, images), *loaded.notes, *corrupt_warning([loaded])):
                self.report.on_message(note.removeprefix("warning: "), warning=note.startswith("warning: "))
            if len(classes) < len(model.labels):
                self.report.on_message(
                    f"{entry.spec.name} has {len(classes):,} of the {len(model.labels):,} classes of {name}; "
                    "a prediction of another class counts as wrong"
                )
            self._splits[key] = loaded
        loaded, decisions = self._splits[key], Decisions()
        batches = loaded.batches
        if positions:
            batches = RelabelledSplit(batches, torch.tensor(positions, device=device))
        with _moved(model.module, device) as module:
            measured = evaluate(
                module,
                batches,
                model.preprocess,
                build_loss(self.registry.find(Loss, "cross_entropy")),
                num_classes=len(model.labels),
                device=device,
                batch_size=self.batch_size,
                on_progress=lambda done, n: self.report.on_progress(f"evaluating {name}", done, n),
                on_logits=decisions.add if decide else lambda logits: None,
            )
        if not math.isfinite(measured.loss):
            raise WeightsError(
                f"{name} gives logits that are not finite on {entry.spec.name}.",
                "Train it again with a lower `--lr`, or check an exported file with `zoo verify`.",
            )
        return Measured(
            name,
            measured,
            entry.spec.name,
            model.labels,
            len(loaded.corrupt),
            decisions,
            batches.labels.cpu(),
            loaded.index,
            getattr(images, "files", None),
        )

    def _images(self, entry: Entry[Dataset]) -> MapDataset:
        """The data set of the split, or of both."""

        def load(split: str) -> MapDataset:
            return load_dataset(entry, self.root, split, self.download)

        return load_all(load) if self.split == ALL else load(self.split)

    def _what_is_judged(self, entry: Entry[Dataset], images: MapDataset) -> Iterator[str]:
        """Lines on which images of a folder these are: it may have been split by zoo."""
        notes = plugin_notes(images)
        if entry.spec.splits or not notes:
            return
        if self.split == ALL:
            yield f"evaluates on all {len(images):,} images in {self.root}"
            return
        yield from notes
        yield f"evaluates on the {self.split} split, {len(images):,} images; `--split all` takes every image"


def _mismatch(dataset: str, classes: Sequence[str], model: str, labels: Sequence[str]) -> DataError:
    """What to say of classes of a data set that are no labels of a model, or ambiguous ones."""
    unknown = [name for name in classes if name not in labels]
    missing = [name for name in labels if name not in classes]
    if not unknown:
        twice = next(name for name in classes if labels.count(name) > 1)
        return DataError(f"{model} has the label {twice} twice.", "Use a data set without that class.")
    has = f"; {dataset} has no images of {_some(missing)}" if missing else ""
    return DataError(
        f"{dataset} has {'a class' if len(unknown) == 1 else f'{len(unknown):,} classes'} that {model} does not know: "
        f"{_some(unknown)}{has}.",
        "Rename the classes as the model's labels, leave those out that it does not know, or use another data set.",
    )


def _some(names: Sequence[str]) -> str:
    """Names in a list, up to ten of them."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


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
