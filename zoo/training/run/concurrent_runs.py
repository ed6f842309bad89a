"""Two runs under way that would store their weights in one place: the later one is told when it begins."""

import os
from pathlib import Path

from zoo.contract.errors import TrainingError
from zoo.training.run.lock import is_held
from zoo.training.run.record import NAME, read_record


def refuse_rival(runs: Path, weights: Path, own: Path | None = None) -> None:
    """Raise where a run in the folder `runs` goes on, in another process, that is to write the file `weights`.

    Args:
        own: a run folder that is not looked at.

    Raises:
        TrainingError: it names that run.
    """
    for record in sorted(runs.glob(f"*/{NAME}")):
        run = record.parent
        if (own is None or run.name != own.name) and is_held(record) and _writes(run, weights):
            raise TrainingError(
                f"The run {run}, which is under way, is to write {weights} too.",
                "Say another --tag, or wait for its end; --force lets the one that ends last replace the other's.",
            )


def _writes(run: Path, weights: Path) -> bool:
    try:
        record = read_record(run)
    except TrainingError:  # of another release, or no run at all
        return False
    return os.path.realpath(record.weights_file) == os.path.realpath(weights)
