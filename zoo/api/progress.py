"""Show the progress of long work: bars in a terminal or a notebook, plain lines elsewhere."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.api.epoch_table import EpochTable, duration
from zoo.api.terminal import columns, erase_announcement, wrapped, write_line
from zoo.contract.callback import Callback, EpochResult, StepProgress, TrainingData
from zoo.contract.errors import UsageError
from zoo.contract.printable import plain

if TYPE_CHECKING:
    from rich.progress import Progress


class Lines(Callback):
    """Writes messages and a table of the epochs to standard error. Progress within a stage is not shown.

    Attributes:
        has_bar: whether a progress bar shows the time that is left.
        epochs: the table. Set another one to show the number of epochs of the run, too.
    """

    has_bar = False

    def __init__(self) -> None:
        self.epochs = EpochTable(time_left=not self.has_bar)

    def line(self, text: str) -> None:
        """Write one line, without control characters."""
        write_line(plain(text), sys.stderr)

    def on_message(self, text: str, *, warning: bool = False) -> None:
        self.line(f"warning: {text}" if warning else text)

    def on_dataset(self, dataset: TrainingData) -> None:
        shape = "×".join(map(str, dataset.preprocess.input_shape))
        self.line(
            f"{dataset.name}: {dataset.train.n:,} training and {dataset.test.n:,} test images, "
            f"{len(dataset.classes):,} classes, {shape}"
        )
        for note in dataset.notes:
            self.line(note)

    def on_epoch(self, epoch: EpochResult) -> None:
        for line in self.epochs.lines(epoch):
            self.line(line)

    def on_interrupt(self, run: Path, step: int, total: int) -> None:
        self.line(f"Interrupted at step {step:,} of {total:,}. Resume: zoo train --resume {shlex.quote(str(run))}")


class Bars(Lines):
    """As `Lines`, with a rich progress bar for the present stage.

    Args:
        stage: what is done before the first stage that has a progress; empty for nothing.
    """

    has_bar = True

    def __init__(self, bars: "Progress", stage: str = "") -> None:
        super().__init__()
        self._bars, self._stage, self._detail = bars, stage, ""
        self._task = bars.add_task(stage, total=None, detail="", visible=bool(stage))

    def line(self, text: str) -> None:
        console = self._bars.console
        width = columns(sys.stderr)  # `None` in a notebook, which breaks lines itself
        text = plain(text) if width is None else "\n".join(wrapped(plain(text), width, 2))
        console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        if stage != self._stage:
            self._stage = stage
            self._bars.reset(self._task, total=total)  # the time left is that of this stage
        self._bars.update(
            self._task, description=stage, completed=done, total=total, detail=detail, visible=done < total
        )

    def on_step(self, step: StepProgress) -> None:
        self.show_step(f"epoch {step.epoch}", step)

    def show_step(self, stage: str, step: StepProgress) -> None:
        """Show the progress of an epoch. There is no new estimate before its first step."""
        if step.done:
            self._detail = f"{step.images_per_second:,.0f} images/s, {duration(step.seconds_left)} left"
        self.on_progress(stage, step.done, step.total, self._detail)
        if not step.done:
            self._bars.refresh()  # it is drawn ten times a second, and the first steps may take long


class Several(Callback):
    """Passes every call on to each of several callbacks."""

    def __init__(self, *callbacks: Callback) -> None:
        self._callbacks = callbacks

    def on_message(self, text: str, *, warning: bool = False) -> None:
        for callback in self._callbacks:
            callback.on_message(text, warning=warning)

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        for callback in self._callbacks:
            callback.on_progress(stage, done, total, detail)

    def on_dataset(self, dataset: TrainingData) -> None:
        for callback in self._callbacks:
            callback.on_dataset(dataset)

    def on_step(self, step: StepProgress) -> None:
        for callback in self._callbacks:
            callback.on_step(step)

    def on_epoch(self, epoch: EpochResult) -> None:
        for callback in self._callbacks:
            callback.on_epoch(epoch)

    def on_interrupt(self, run: Path, step: int, total: int) -> None:
        for callback in self._callbacks:
            callback.on_interrupt(run, step, total)


@contextmanager
def display() -> Iterator[Lines]:
    """Bars if standard error is a terminal or this is a notebook, else plain lines."""
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield Lines()
        return
    from zoo.api.progress_bar import open_bars

    stage = "working" if erase_announcement() else ""
    with open_bars() as bars:
        yield Bars(bars, stage)


@contextmanager
def reporting(progress: bool, callback: Callback | None) -> Iterator[Callback]:
    """What long work calls: the display if `progress` is set, `callback` if there is one, both, or neither."""
    if callback is not None and not isinstance(callback, Callback):
        raise UsageError(
            f"callback={callback!r:.80} is not a zoo.Callback.",
            "Derive a class from zoo.Callback, override the methods that you need, and pass an instance of it.",
        )
    if not progress:
        yield callback or Callback()
        return
    with display() as shown:
        yield shown if callback is None else Several(shown, callback)
