"""`curves.png`: loss, accuracy and learning rate by epoch."""

import math
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from zoo.report.canvas import canvas, png
from zoo.report.history import History, stored_row
from zoo.report.names import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # the colour-blind safe palette of Okabe and Ito
LOG_RATIO = 30  # ratio of the largest to the smallest loss from which the axis is logarithmic


def draw_curves(history: History, title: str) -> bytes:
    """Plot three panels: the columns that end in `_loss`, those that end in `_top1`, and `lr`. Returns a PNG file.

    Args:
        history: rows with `epoch` and `lr`. Values that are not finite are left out.
    """
    columns = list(history[0])
    losses = [name for name in columns if name.endswith("_loss")]
    accuracies = [name for name in columns if name.endswith("_top1")]
    with canvas(8, 8) as figure:
        figure.suptitle(wrapped(title, 8), parse_math=False)
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1.5])
        _lines(top, history, losses, "loss")
        values = [row[name] for row in history for name in losses if math.isfinite(row[name]) and row[name] > 0]
        if values and max(values) / min(values) >= LOG_RATIO:
            top.set_yscale("log")  # a loss of 0 is below the axis
        _lines(middle, history, accuracies, "top-1 accuracy (%)", scale=100)
        _limit_to_percent(middle)
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


def _lines(axes: "Axes", history: History, names: Sequence[str], label: str, scale: float = 1) -> None:
    splits = [name.rpartition("_")[0] for name in history[0] if name.endswith("_loss")]
    colours = dict(zip(splits, cycle(COLOURS), strict=False))  # one colour per split in all panels
    for name in names:
        colour = colours.get(name.rpartition("_")[0], "#444444")
        points = [(row["epoch"], scale * row[name]) for row in history if math.isfinite(row[name])]
        marker = "o" if len(history) <= 40 else ""
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=4) if points else None
        if len(names) > 1:
            axes.plot([], [], color=colour, marker=marker, markersize=4, label=_split_label(name))
    if len(names) > 1:
        axes.legend(frameon=False)
    axes.set_ylabel(label)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)


def _limit_to_percent(axes: "Axes") -> None:
    """Clip an axis of percentages to 0 to 100."""
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
            text = f"stored weights: epoch {stored['epoch']:g}, {_split_label(name)} top-1 {100 * stored[name]:.2f} %"
            axes.set_title(text, loc="right", fontsize="medium", color="#444444")


def _split_label(column: str) -> str:
    """Return the split of a column, for a legend."""
    return column.rpartition("_")[0].replace("_", "-")
