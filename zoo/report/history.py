"""What `history.csv` says of a run: its epochs, and which of them is stored."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

History = Sequence[Mapping[str, float]]  # a row an epoch


def read_history(path: Path) -> History:
    """The rows of `history.csv`, in order."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def stored_row(history: History) -> Mapping[str, float]:
    """The row of the epoch whose weights are stored: the last, or the best on the hold-out where there is one."""
    if "hold_out_top1" not in history[0]:
        return history[-1]
    return max(history, key=lambda row: (row["hold_out_top1"], -row["hold_out_loss"]))  # the first of equals
