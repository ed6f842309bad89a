"""What `zoo train` writes to standard error while it trains."""

from typing import TYPE_CHECKING

from zoo.api.epoch_table import EpochTable
from zoo.api.progress import Bars, Lines
from zoo.cli.training.class_counts import class_counts
from zoo.contract.callback import Callback, EpochResult, StepProgress, TrainingData

if TYPE_CHECKING:
    from zoo.training.recipe.recipe import Recipe


class TrainOutput(Callback):
    """Shows a training run on the terminal.

    Args:
        show: the lines and the progress bar.
        recipe: of the run.
        device: what it trains on, in words.
    """

    def __init__(self, show: Lines, recipe: "Recipe", device: str) -> None:
        self._show, self._device = show, device
        self._architecture, self._epochs = recipe.architecture, recipe.epochs
        show.epochs = EpochTable(recipe.epochs, time_left=not show.has_bar)

    def on_message(self, text: str, *, warning: bool = False) -> None:
        self._show.on_message(text, warning=warning)

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self._show.on_progress(stage, done, total, detail)

    def on_dataset(self, dataset: TrainingData) -> None:
        from zoo.data.batches import label_counts

        shape = "×".join(map(str, dataset.preprocess.input_shape))
        self._show.line(
            f"{self._architecture} on {dataset.name}: {dataset.train.n:,} training and {dataset.test.n:,} test images, "
            f"{len(dataset.classes):,} classes, {shape}, on {self._device}"
        )
        counts = (label_counts(split, len(dataset.classes)) for split in (dataset.train, dataset.test))
        for line in (*class_counts(dataset.classes, *counts), *dataset.notes):
            self._show.line(line)

    def on_step(self, step: StepProgress) -> None:
        if isinstance(self._show, Bars):
            self._show.show_step(f"epoch {step.epoch}/{self._epochs}", step)

    def on_epoch(self, epoch: EpochResult) -> None:
        self._show.on_epoch(epoch)
