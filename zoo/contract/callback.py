"""What long work reports while it runs: messages, progress, epochs. Training, export and evaluation share it."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.contract.preprocess import Preprocess


class LabelledSplit(Protocol):
    """A split of a loaded data set."""

    @property
    def n(self) -> int:
        """The number of images."""

    @property
    def labels(self) -> "Tensor":
        """The class index of each image, int64 `[N]`, on any device."""


class TrainingData(Protocol):
    """A data set that was loaded for training."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in the order of their indices."""

    @property
    def preprocess(self) -> "Preprocess":
        """How its images become the model's input."""

    @property
    def train(self) -> LabelledSplit:
        """The training split."""

    @property
    def test(self) -> LabelledSplit:
        """The test split."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks for the user on how it was read, a line each."""


class StepProgress(Protocol):
    """The progress of an epoch."""

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 1."""

    @property
    def done(self) -> int:
        """Optimizer steps taken in this epoch."""

    @property
    def total(self) -> int:
        """Optimizer steps of an epoch."""

    @property
    def images_per_second(self) -> float:
        """The rate of training in this epoch; 0 where `done` is 0."""

    @property
    def seconds_left(self) -> float:
        """An estimate for the rest of the run; 0 where `done` is 0."""


class Metrics(Protocol):
    """The metrics of an evaluation."""

    @property
    def loss(self) -> float:
        """The mean loss over the images."""

    @property
    def top1(self) -> float:
        """The fraction of images that are classified correctly, 0 to 1."""


class EpochResult(Protocol):
    """The result of an epoch."""

    @property
    def number(self) -> int:
        """From 1."""

    @property
    def lr(self) -> float:
        """The learning rate of its first step."""

    @property
    def train_loss(self) -> float:
        """The mean training loss over its steps."""

    @property
    def evaluation(self) -> Metrics:
        """The metrics on `split` after the epoch."""

    @property
    def split(self) -> str:
        """`test` or `hold_out`."""

    @property
    def images_per_second(self) -> float:
        """The rate of training alone."""

    @property
    def seconds_left(self) -> float:
        """An estimate for the rest of the run."""


class Callback:
    """Receives the progress of long work. Every method does nothing; override those that you need.

    `zoo.train`, `zoo.evaluate`, `zoo.export` and `zoo.verify` take one. Methods run in the thread that called these.
    """

    def on_message(self, text: str, *, warning: bool = False) -> None:
        """Called with a line of text for the user, without a trailing newline."""

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Called when `done` of `total` units of a stage are done. The stage ends when they are equal."""

    def on_dataset(self, dataset: TrainingData) -> None:
        """Called before training starts. `dataset` has `name`, `classes`, `preprocess`, `train`, `test` and `notes`."""

    def on_step(self, step: StepProgress) -> None:
        """Called at the start of an epoch and during it. `step` has `epoch`, `done`, `total`, `images_per_second` and
        `seconds_left`."""

    def on_epoch(self, epoch: EpochResult) -> None:
        """Called after an epoch is evaluated. `epoch` has `number`, `lr`, `train_loss`, `evaluation`, `split`,
        `images_per_second` and `seconds_left`."""

    def on_interrupt(self, run: Path, step: int, total: int) -> None:
        """Called when training was interrupted. It can be resumed from the folder `run`, which holds a checkpoint of
        step `step` of `total`, counted over all epochs."""


SILENT = Callback()  # the default: reports nothing
