"""What long work reports while it runs: messages, progress, epochs. Training, export and evaluation share it."""

from pathlib import Path
from typing import Any


class Callback:
    """Hears of the progress of long work. Every method does nothing; override those that you want to hear.

    `zoo.train`, `zoo.evaluate`, `zoo.export` and `zoo.verify` take one. Methods run in the thread that called these.
    """

    def on_message(self, text: str, *, warning: bool = False) -> None:
        """Called with a line of text for the user, without a trailing newline."""

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Called when `done` of `total` units of a stage are done. The stage ends when they are equal."""

    def on_dataset(self, dataset: Any) -> None:
        """Called before training begins, with the loaded data set."""

    def on_step(self, step: Any) -> None:
        """Called during an epoch. `step` has `epoch`, `done`, `total`, `images_per_second` and `seconds_left`."""

    def on_epoch(self, epoch: Any) -> None:
        """Called after an epoch is evaluated. `epoch` has `number`, `lr`, `train_loss`, `evaluation`, `split` and
        `seconds_left`."""

    def on_interrupt(self, run: Path) -> None:
        """Called when training was interrupted. It can be resumed from the folder `run`."""


SILENT = Callback()  # the default where nobody listens
