"""`confusion.png`: the confusion matrix, each row as shares of its class; readable for 2 classes and for 1000."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zoo.report.canvas import canvas, glyphs, png
from zoo.report.names import labels, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Counts = npt.NDArray[np.int64]
COUNTED = 20  # classes up to which each cell says its count, where that has room
NAMED = 50  # classes up to which each row and column says its class
SEEN = 250  # squares a side that can still be told apart; of more classes, several share one
GREY = "#e4e4e4"
EMPTY = -1.0  # in place of a share, in a row without images


def draw_confusion(confusion: Counts, classes: Sequence[str], title: str) -> bytes:
    """A PNG of the matrix. The colour of a cell is its share of the row, on a scale that shows small shares too.

    Args:
        confusion: int64 `[K, K]`, true class by predicted class. A row without images is drawn grey.
        classes: the K names, which may hold anything.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    total = confusion.sum(1, keepdims=True)
    shares = np.where(total > 0, confusion / np.maximum(total, 1), EMPTY)
    pool = -(-len(classes) // SEEN)
    squares = np.ma.masked_equal(_largest(shares, pool), EMPTY)
    edge = len(squares) * pool - 0.5
    side = _side(len(classes))
    with canvas(side + 2.4, side + 1.4) as figure:
        axes = figure.subplots()
        colours = colormaps["Blues"].with_extremes(bad=GREY)
        norm, extent = PowerNorm(0.5, 0, 1), (-0.5, edge, edge, -0.5)
        shown = axes.imshow(squares, cmap=colours, norm=norm, interpolation="nearest", extent=extent)
        axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5))
        bar = figure.colorbar(shown, ax=axes, shrink=0.8, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
        bar.ax.set_yticklabels(["0 %", "1 %", "5 %", "10 %", "25 %", "50 %", "75 %", "100 %"])
        bar.set_label(
            "share of the true class" if pool == 1 else f"largest share of a true class in {pool} × {pool} classes"
        )
        axes.spines[:].set_visible(True)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(wrapped(title, side + 2.4), parse_math=False)
        if len(classes) <= NAMED:
            _name(axes, classes)
            axes.set_xticks(np.arange(1, len(classes)) - 0.5, minor=True)
            axes.set_yticks(np.arange(1, len(classes)) - 0.5, minor=True)
            axes.tick_params(which="minor", length=0)
            axes.grid(which="minor", color="#d0d8e0", linewidth=0.4)
        if len(classes) <= COUNTED:
            _count(axes, confusion, shares, 72 * side / len(classes))
        return png(figure)


def _largest(shares: npt.NDArray[np.float64], pool: int) -> npt.NDArray[np.float64]:
    """The largest value of each square of `pool` by `pool`; the last ones may be filled up with `EMPTY`."""
    missing = -len(shares) % pool
    filled = np.pad(shares, (0, missing), constant_values=EMPTY)
    squares = len(filled) // pool
    return np.asarray(filled.reshape(squares, pool, squares, pool).max((1, 3)))


def _side(classes: int) -> float:
    """Inches of the matrix: room for names and counts of a few classes, and no picture too large to look at."""
    return min(max(3.5, 0.55 * classes), 10.0)


def _name(axes: "Axes", classes: Sequence[str]) -> None:
    known = glyphs()
    size = 10 if len(classes) <= 20 else 7
    names = labels(classes, known, 20)
    turned = 0 if max(map(len, names)) <= 3 else 45 if len(classes) <= 20 else 90
    places = range(len(classes))
    axes.set_xticks(places, names, rotation=turned, fontsize=size, parse_math=False)
    for tick in axes.get_xticklabels() if turned == 45 else ():
        tick.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names, fontsize=size, parse_math=False)


def _count(axes: "Axes", confusion: Counts, shares: npt.NDArray[np.float64], cell: float) -> None:
    """Write counts other than 0 into the cells, `cell` points wide, if the longest has room at a size to read."""
    longest = len(f"{confusion.max():,}")
    size = min(11.0, 0.9 * cell / (0.64 * longest))
    if size < 6:
        return
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if shares[row, column] > 0.4 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size, color=colour)
