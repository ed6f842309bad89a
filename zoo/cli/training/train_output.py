"""What `zoo train` writes to standard error while it trains."""

from typing import TYPE_CHECKING

from zoo.api.progress import Lines, duration
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
        detail = f"{step.images_per_second:,.0f} images/s, {duration(step.seconds_left)} left"
        self._show.on_progress(f"epoch {step.epoch}/{self._epochs}", step.done, step.total, detail)

    def on_epoch(self, epoch: EpochResult) -> None:
        split = "test" if epoch.split == "test" else "hold-out"
        left = "" if epoch.number == self._epochs else f"  {duration(epoch.seconds_left)} left"
        self._show.line(
            f"epoch {epoch.number}/{self._epochs}  train loss {epoch.train_loss:.4f}  "
            f"{split} loss {epoch.evaluation.loss:.4f}  top-1 {100 * epoch.evaluation.top1:.2f} %  "
            f"{epoch.images_per_second:,.0f} images/s{left}"
        )
