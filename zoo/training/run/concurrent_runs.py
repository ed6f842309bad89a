"""Refuse to start a run that would write the same weights file as one that is running."""

import os
from pathlib import Path

from zoo.contract.errors import TrainingError
from zoo.training.run.lock import is_held
from zoo.training.run.record import NAME, read_record


def refuse_concurrent_run(runs: Path, weights_file: Path, own: Path | None = None) -> None:
    """Raise `TrainingError` where another process is running a run in `runs` that will write `weights_file`.

    Args:
        own: the run folder of the caller, which is skipped.
    """
    for record in sorted(runs.glob(f"*/{NAME}")):
        run = record.parent
        if (own is None or run.name != own.name) and is_held(record) and _writes(run, weights_file):
            raise TrainingError(
                f"The run {run} is running and will write {weights_file} too.",
                "Use another --tag, or wait until it ends. With --force, the run that ends last replaces the file.",
            )


def _writes(run: Path, weights_file: Path) -> bool:
    try:
        record = read_record(run)
    except TrainingError:  # a run of another release, or not a run folder
        return False
    return os.path.realpath(record.weights_file) == os.path.realpath(weights_file)
