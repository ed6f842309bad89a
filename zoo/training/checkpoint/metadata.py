"""What a checkpoint says besides its tensors, read with types and ranges: files come from anywhere."""

import math
import re
from collections.abc import Mapping
from typing import Any

LIMIT = 2**62  # of steps
COLUMNS = ({"epoch", "lr", "train_loss", "images_per_second"}, ("test", "hold_out"))
OPTIMIZER_VALUE = re.compile(r"optimizer\.\d{1,3}\.\d{1,9}\.\w{1,100}", re.ASCII)


def parse_metadata(data: Any) -> dict[str, Any]:
    """The metadata that `State.metadata` wrote: `step`, `seconds`, `history`, `best`, `optimizer`.

    Raises:
        ValueError: a field is missing or unknown, or has another type, or is out of range.
    """
    if not isinstance(data, dict) or set(data) != {"step", "seconds", "history", "best", "optimizer"}:
        raise ValueError("it does not have the fields of a checkpoint")
    step, history = data["step"], data["history"]
    if type(step) is not int or not 0 <= step < LIMIT:
        raise ValueError(f"`step` is {_short(step)}, which is not a number of steps")
    if not isinstance(history, list):
        raise ValueError(f"`history` is {_short(history)}, which is not a list of epochs")
    if len(history) > step:
        raise ValueError(f"`history` has {len(history)} epochs, and `step` is {step}")
    for number, row in enumerate(history, 1):
        _check_row(number, row, history[0])
    return {
        "step": step,
        "seconds": _number("seconds", data["seconds"], 0),
        "history": history,
        "best": _best(data["best"], len(history)),
        "optimizer": _optimizer(data["optimizer"]),
    }


def _check_row(number: int, row: Any, first: Mapping[str, Any]) -> None:
    """Check one epoch of the history: numbers under the names that `Epoch.row` gives."""
    if not isinstance(row, dict) or list(row) != list(first):
        raise ValueError(f"`history` has no complete row for epoch {number}")
    fixed, splits = COLUMNS
    if not any(set(row) == fixed | {f"{split}_loss", f"{split}_top1"} for split in splits):
        raise ValueError(f"`history` has other columns than those of an epoch: {_short(', '.join(row))}")
    for name, value in row.items():
        _number(f"history: {name} of epoch {number}", value)
    if type(row["epoch"]) is not int or row["epoch"] != number:
        raise ValueError(f"`history` has epoch {_short(row['epoch'])} in the place of epoch {number}")


def _best(best: Any, epochs: int) -> dict[str, Any] | None:
    if best is None:
        return None
    if not isinstance(best, dict) or set(best) != {"epoch", "top1", "loss"}:
        raise ValueError(f"`best` is {_short(best)}, which is not an epoch with its accuracy and loss")
    if type(best["epoch"]) is not int or not 1 <= best["epoch"] <= epochs:
        raise ValueError(f"`best` names epoch {_short(best['epoch'])} of {epochs}")
    return {
        "epoch": best["epoch"],
        "top1": _number("top1 of `best`", best["top1"], 0, 1),
        "loss": _number("loss of `best`", best["loss"]),
    }


def _optimizer(values: Any) -> dict[str, float | None]:
    if not isinstance(values, dict):
        raise ValueError(f"`optimizer` is {_short(values)}, which is not an object")
    for name, value in values.items():
        if not OPTIMIZER_VALUE.fullmatch(name):
            raise ValueError(f"`optimizer` has the unknown entry {_short(name)}")
        if value is not None:
            _number(name, value)
    return dict(values)


def _number(name: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf) -> float:
    """`value`, if it is a finite number in the range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise ValueError(f"{name} is {_short(value)}, which is not a finite number")
    if not at_least <= value <= at_most:
        raise ValueError(f"{name} is {_short(value)}, which is out of range")
    return value


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond the range of float
        return False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
