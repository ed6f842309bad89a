"""Progress on standard error: a bar in a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.api.progress import Lines as Progress
from zoo.api.progress import display, duration

__all__ = ["Progress", "duration", "progress"]


class Silent(Progress):
    """Shows nothing, for a process beside one that shows the same."""

    def line(self, text: str) -> None:
        """Not shown."""


@contextmanager
def progress(shown: bool = True) -> Iterator[Progress]:
    """The display of `zoo.api.progress`, or nothing if `shown` is not set."""
    if not shown:
        yield Silent()
        return
    with display() as lines:
        yield lines
