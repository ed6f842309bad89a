"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

from zoo.api.progress import duration as duration


class Progress(Protocol):
    """Shows how far long work is."""

    def line(self, text: str) -> None:
        """A line that stays."""

    def update(self, label: str, done: int, total: int, detail: str = "") -> None:
        """How far the present stage is; a stage is over when `done` reaches `total`."""


class Silent:
    """Nothing at all, for a process beside one that shows the same."""

    def line(self, text: str) -> None:
        """Not shown."""

    def update(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Not shown."""


class Plain(Silent):
    """Lines only: nothing of a stage's progress is shown."""

    def line(self, text: str) -> None:
        click.echo(text, err=True)


@contextmanager
def progress(shown: bool = True) -> Iterator[Progress]:
    """A bar where standard error is a terminal, else plain lines; nothing where it is not to be shown."""
    if not shown:
        yield Silent()
        return
    if not sys.stderr.isatty():
        yield Plain()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    ]
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Rich(bars)


class _Rich:
    def __init__(self, bars: "object") -> None:
        from rich.progress import Progress as Bars

        assert isinstance(bars, Bars)
        self._bars = bars
        self._task = bars.add_task("", total=None, detail="", visible=False)

    def line(self, text: str) -> None:
        self._bars.console.print(text, markup=False, emoji=False, highlight=False)

    def update(self, label: str, done: int, total: int, detail: str = "") -> None:
        self._bars.update(
            self._task, description=label, completed=done, total=total, detail=detail, visible=done < total
        )
