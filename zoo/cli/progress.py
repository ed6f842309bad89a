"""Progress on standard error: a bar in a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.api.progress import Lines, display


class Silent(Lines):
    """Shows nothing, for a rank other than 0."""

    def line(self, text: str) -> None:
        """Not shown."""


@contextmanager
def progress(shown: bool = True) -> Iterator[Lines]:
    """The display of `zoo.api.progress`, or nothing if `shown` is not set."""
    if not shown:
        yield Silent()
        return
    with display() as lines:
        yield lines
