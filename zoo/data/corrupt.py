"""Report corrupt images: all of them in one error, unless `--skip-corrupt` leaves them out."""

from collections.abc import Sequence

from zoo.contract.errors import DataError
from zoo.data.load_split import LoadedSplit

LISTED = 10  # images named in a message


def refuse_corrupt(splits: Sequence[LoadedSplit], *, skip: bool) -> None:
    """Raise an error if an image of these splits cannot be read.

    Args:
        skip: leave corrupt images out. Then only a split without any readable image is an error.

    Raises:
        DataError: names the first ten corrupt images, and how many more there are.
    """
    bad = [split for split in splits if split.corrupt]
    if not bad or (skip and all(len(split.corrupt) < split.total for split in bad)):
        return
    raise DataError(
        f"{_counts(bad)} cannot be read: {_causes(bad)}",
        "Repair or remove these files." if skip else "Repair or remove these files, or use --skip-corrupt.",
    )


def corrupt_warning(splits: Sequence[LoadedSplit]) -> list[str]:
    """Return a warning line that names the corrupt images left out of these splits; no line if there are none."""
    bad = [split for split in splits if split.corrupt]
    return [f"warning: {_counts(bad)} cannot be read and are left out: {_causes(bad)}"] if bad else []


def _counts(splits: Sequence[LoadedSplit]) -> str:
    """Format the number of corrupt images of each split: `3 of 120 train images`."""
    names = {split.name: "" if split.name == "all" else f" {split.name}" for split in splits}
    return " and ".join(f"{len(split.corrupt):,} of {split.total:,}{names[split.name]} images" for split in splits)


def _causes(splits: Sequence[LoadedSplit]) -> str:
    """Format the first ten causes in one line, and the number of the others."""
    causes = [" ".join(cause.split()).removesuffix(".") for split in splits for cause in split.corrupt]
    more = len(causes) - LISTED
    return "; ".join([*causes[:LISTED], *([f"and {more:,} more"] if more > 0 else [])]) + "."
