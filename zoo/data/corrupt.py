"""Images that cannot be read: all of them are named at once, and training without them has to be asked for."""

from collections.abc import Sequence
from typing import Protocol

from zoo.contract.errors import DataError

NAMED = 10


class Looked(Protocol):
    """A split that was looked through."""

    @property
    def name(self) -> str: ...
    @property
    def total(self) -> int: ...
    @property
    def corrupt(self) -> tuple[str, ...]: ...


def refuse_corrupt(splits: Sequence[Looked], *, skip: bool) -> None:
    """Raise where an image of these splits cannot be read.

    Args:
        skip: they are to be left out; then only a split of which nothing is left is an error.

    Raises:
        DataError: it names the first ten, and says how many more there are.
    """
    bad = [split for split in splits if split.corrupt]
    if not bad or (skip and all(len(split.corrupt) < split.total for split in bad)):
        return
    raise DataError(
        f"{counted(bad)} cannot be read: {named(bad)}",
        "Mend or remove these files." if skip else "Mend or remove these files, or say --skip-corrupt to go without.",
    )


def counted(splits: Sequence[Looked]) -> str:
    """How many images of which split cannot be read: `3 of 120 train images`."""
    return " and ".join(f"{len(split.corrupt):,} of {split.total:,} {split.name} images" for split in splits)


def named(splits: Sequence[Looked]) -> str:
    """Which they are and why, in one line: ten, and how many more."""
    causes = [" ".join(cause.split()).removesuffix(".") for split in splits for cause in split.corrupt]
    more = len(causes) - NAMED
    return "; ".join([*causes[:NAMED], *([f"and {more:,} more"] if more > 0 else [])]) + "."
