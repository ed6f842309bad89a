"""Read `history.csv`, the log of a run with one row per epoch."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

History = Sequence[Mapping[str, float]]  # one row per epoch


def read_history(path: Path) -> History:
    """Return the rows of `history.csv`, in order."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def stored_row(history: History) -> Mapping[str, float]:
    """Return the row of the epoch whose weights are stored: the last epoch, or the best one on the hold-out split."""
    if "hold_out_top1" not in history[0]:
        return history[-1]
    return max(history, key=lambda row: (row["hold_out_top1"], -row["hold_out_loss"]))  # the first of equal rows
