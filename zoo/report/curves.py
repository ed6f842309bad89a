"""`curves.png`: how loss, accuracy and learning rate went from epoch to epoch."""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from zoo.report.canvas import canvas, png
from zoo.report.history import History, stored_row
from zoo.report.names import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # which colour-blind people tell apart (Okabe and Ito)
LOG_FROM = 30  # a loss that falls by this factor is drawn on a logarithmic axis


def draw_curves(history: History, title: str) -> bytes:
    """A PNG of three panels: every column that ends in `_loss`, every one that ends in `_top1`, and `lr`.

    Args:
        history: rows with `epoch` and `lr`; values that are not finite are left out.
    """
    columns = list(history[0])
    losses = [name for name in columns if name.endswith("_loss")]
    accuracies = [name for name in columns if name.endswith("_top1")]
    with canvas(8, 8) as figure:
        figure.suptitle(wrapped(title, 8), parse_math=False)
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.5])
        _lines(top, history, losses, "loss")
        values = [row[name] for row in history for name in losses if math.isfinite(row[name]) and row[name] > 0]
        if values and max(values) / min(values) >= LOG_FROM:
            top.set_yscale("log")  # a loss of 0 lies below the picture
        _lines(middle, history, accuracies, "top-1, %", scale=100)
        _within_a_hundred(middle)
        _mark_stored(middle, history, accuracies[-1:])
        _lines(bottom, history, ["lr"], "learning rate")
        bottom.set_ylim(bottom=0)
        bottom.set_xlabel("epoch")
        bottom.xaxis.get_major_locator().set_params(integer=True)
        bottom.set_xlim(history[0]["epoch"] - 0.5, history[-1]["epoch"] + 0.5)
        if len(history) == 1:
            bottom.set_xticks([history[0]["epoch"]])
        figure.align_ylabels()
        return png(figure)


def _lines(axes: "Axes", history: History, names: Sequence[str], what: str, scale: float = 1) -> None:
    splits = [name.rpartition("_")[0] for name in history[0] if name.endswith("_loss")]
    colours = dict(zip(splits, cycle(COLOURS), strict=False))  # a split has one colour in every panel
    for name in names:
        colour = colours.get(name.rpartition("_")[0], "#444444")
        points = [(row["epoch"], scale * row[name]) for row in history if math.isfinite(row[name])]
        marker = "o" if len(history) <= 40 else ""
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4) if points else None
        if len(names) > 1:
            axes.plot([], [], color=colour, marker=marker, markersize=4, label=_words(name))
    if len(names) > 1:
        axes.legend(frameon=False)
    axes.set_ylabel(what)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)


def _within_a_hundred(axes: "Axes") -> None:
    """Let no axis of shares go on where there are none."""
    low, high = axes.get_ylim()
    if low >= 0 and high <= 100:
        return
    margin = 0.03 * (high - low)
    axes.set_ylim(max(low, -margin), min(high, 100 + margin))
    axes.set_yticks([tick for tick in axes.get_yticks() if max(low, 0) <= tick <= min(high, 100)])


def _mark_stored(axes: "Axes", history: History, names: Sequence[str]) -> None:
    stored = stored_row(history)
    for name in names:
        if math.isfinite(stored[name]):
            text = f"{_words(name)} {100 * stored[name]:.2f} % in epoch {stored['epoch']:g}, whose weights are stored"
            axes.set_title(text, loc="right", fontsize="medium", color="#444444")


def _words(column: str) -> str:
    """The split that a column is of, as people say it."""
    return column.rpartition("_")[0].replace("_", "-")
