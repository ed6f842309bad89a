"""Show the progress of long work: bars in a terminal or a notebook, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.contract.callback import Callback, EpochResult, StepProgress, TrainingData
from zoo.contract.errors import UsageError
from zoo.contract.printable import plain

if TYPE_CHECKING:
    from rich.progress import Progress


class Lines(Callback):
    """Writes messages and finished epochs to standard error, a line each. Progress within a stage is not shown."""

    def line(self, text: str) -> None:
        """Write one line, without control characters."""
        click.echo(plain(text), err=True)

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
        self.line(
            f"epoch {epoch.number}  train loss {epoch.train_loss:.4f}  {epoch.split} loss {epoch.evaluation.loss:.4f}  "
            f"top-1 {100 * epoch.evaluation.top1:.2f} %  {duration(epoch.seconds_left)} left"
        )

    def on_interrupt(self, run: Path) -> None:
        self.line(f"Interrupted. Resume: zoo train --resume {run}")


class Bars(Lines):
    """As `Lines`, with a rich progress bar for the present stage."""

    def __init__(self, bars: "Progress") -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None, detail="", visible=False)

    def line(self, text: str) -> None:
        self._bars.console.print(plain(text), markup=False, emoji=False, highlight=False)

    def on_progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        self._bars.update(
            self._task, description=stage, completed=done, total=total, detail=detail, visible=done < total
        )

    def on_step(self, step: StepProgress) -> None:
        detail = f"{step.images_per_second:,.0f} images/s, {duration(step.seconds_left)} left"
        self.on_progress(f"epoch {step.epoch}", step.done, step.total, detail)


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

    def on_interrupt(self, run: Path) -> None:
        for callback in self._callbacks:
            callback.on_interrupt(run)


@contextmanager
def display() -> Iterator[Lines]:
    """Bars if standard error is a terminal or this is a notebook, else plain lines."""
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield Bars(bars)


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


def duration(seconds: float) -> str:
    """A span of time in its two largest units: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"
