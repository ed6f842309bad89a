"""The progress bar in a terminal or notebook, drawn by rich. One estimate of the time left, at the end of the line."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from zoo.api.epoch_table import duration

WIDEST = 40  # columns of the bar itself


class Count(MofNCompleteColumn):
    """How much is done, where the whole is known."""

    def render(self, task: Task) -> Text:
        """`done/total`, or nothing."""
        return Text() if task.total is None else super().render(task)


class TimeLeft(ProgressColumn):
    """What the task says of its rate and the time left; else an estimate from the progress so far."""

    def render(self, task: Task) -> Text:
        """`12,345 images/s, 3 min 5 s left`, `42 s left`, or nothing."""
        if task.fields["detail"]:
            return Text(task.fields["detail"], no_wrap=True)
        left = task.time_remaining
        return Text("" if left is None or task.total is None else f"{duration(left)} left", no_wrap=True)


def open_bars() -> Progress:
    """A display with a bar that fills what a line has left, and disappears at the end."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=WIDEST)),
        Count(table_column=Column(no_wrap=True)),
        TimeLeft(table_column=Column(no_wrap=True)),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
