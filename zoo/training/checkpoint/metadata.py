"""What a checkpoint says besides its tensors, read with types and ranges: files come from anywhere."""

import re
from collections.abc import Mapping
from typing import Any

from zoo.contract.reading import Field, Malformed, fields, shown

MAX_STEPS = 2**62
MAX_VALUES = 1_000_000  # of an optimizer that are no tensors
COLUMNS = ("epoch", "lr", "train_loss", "images_per_second")  # of the history, and two for the evaluated split
SPLITS = ("test", "hold_out")
OPTIMIZER_VALUE = re.compile(r"optimizer\.\d{1,3}\.\d{1,9}\.\w{1,100}", re.ASCII)


def parse_metadata(data: Any) -> dict[str, Any]:
    """The metadata that `State.metadata` wrote: `step`, `seconds`, `history`, `best`, `optimizer`.

    Raises:
        Malformed: a `ValueError`: a field is missing or unknown, or has another type, or is out of range.
    """
    content = fields(data).only("step", "seconds", "history", "best", "optimizer")
    step = content["step"].integer(0, MAX_STEPS)
    rows = content["history"].items(0, step)
    columns = _columns(rows[0]) if rows else ()
    return {
        "step": step,
        "seconds": content["seconds"].number(0),
        "history": [_row(number, row, columns) for number, row in enumerate(rows, 1)],
        "best": content["best"].optional(lambda best: _best(best, len(rows))),
        "optimizer": _optimizer(content["optimizer"]),
    }


def _columns(row: Field) -> tuple[str, ...]:
    """The columns of the history, in the order of its first row."""
    names = tuple(row.entries(key_limit=100))
    if not any(set(names) == {*COLUMNS, f"{split}_loss", f"{split}_top1"} for split in SPLITS):
        raise Malformed(f"{row.path} has other columns than those of an epoch: {shown(', '.join(names))}")
    return names


def _row(number: int, row: Field, columns: tuple[str, ...]) -> dict[str, float]:
    row.only(*columns)
    return {name: row[name].integer(number, number) if name == "epoch" else row[name].number() for name in columns}


def _best(best: Field, epochs: int) -> dict[str, float]:
    best.only("epoch", "top1", "loss")
    epoch, top1, loss = best["epoch"].integer(1, epochs), best["top1"].number(0, 1), best["loss"].number()
    return {"epoch": epoch, "top1": top1, "loss": loss}


def _optimizer(values: Field) -> Mapping[str, float | None]:
    entries = values.entries(0, MAX_VALUES)
    for name in entries:
        if not OPTIMIZER_VALUE.fullmatch(name):
            raise Malformed(f"{values.path} has the unknown entry {shown(name)}")
    return {name: entry.optional(_number) for name, entry in entries.items()}


def _number(value: Field) -> float:
    """A number as it was stored: an optimizer tells integers from floats."""
    return value.integer(-MAX_STEPS, MAX_STEPS) if isinstance(value.value, int) else value.number()
