"""What long work reports while it runs: messages, progress, epochs. Training, export and evaluation share it."""

from pathlib import Path
from typing import Any


class Callback:
    """Hears of the progress of long work. Every method does nothing; override those that you want to hear.

    `zoo.train`, `zoo.evaluate`, `zoo.export` and `zoo.verify` take one. Methods run in the thread that called these.
    """

    def on_message(self, text: str, *, warning: bool = False) -> None:
        """A line that a person should see, without a newline at its end."""

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """`done` of `total` units of a stage are done; the stage is over when they are equal."""

    def on_dataset(self, dataset: Any) -> None:
        """Training is about to begin on this data set, which is loaded and fitted to the model."""

    def on_step(self, step: Any) -> None:
        """Some steps of an epoch are done: `epoch`, `done`, `total`, `images_per_second`, `seconds_left`."""

    def on_epoch(self, epoch: Any) -> None:
        """An epoch is done and measured: `number`, `lr`, `train_loss`, `evaluation`, `split`, `seconds_left`."""

    def on_interrupt(self, run: Path) -> None:
        """Training was interrupted; it can be resumed from this run folder."""


SILENT = Callback()  # hears everything and does nothing
