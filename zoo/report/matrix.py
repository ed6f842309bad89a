"""`confusion.png`: the confusion matrix, normalised by row, for 2 to 1000 classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zoo.report.canvas import canvas, glyphs, png
from zoo.report.names import labels, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Counts = npt.NDArray[np.int64]
MAX_COUNTED = 20  # classes up to which cells show counts, if they fit
MAX_NAMED = 50  # classes up to which rows and columns are labelled
MAX_CELLS = 250  # cells per side; with more classes, several share a cell
GREY = "#e4e4e4"
EMPTY = -1.0  # marks the cells of a class without images


def draw_confusion(confusion: Counts, classes: Sequence[str], title: str) -> bytes:
    """Plot the matrix. Returns a PNG file.

    The colour of a cell is its fraction of the row, on a square-root scale that makes small fractions visible.

    Args:
        confusion: int64 `[K, K]`, true class by predicted class. Rows without images are grey.
        classes: the K class names, which may contain any characters.
    """
    from matplotlib import colormaps
    from matplotlib.colors import PowerNorm

    total = confusion.sum(1, keepdims=True)
    fractions = np.where(total > 0, confusion / np.maximum(total, 1), EMPTY)
    pool = -(-len(classes) // MAX_CELLS)
    cells = np.ma.masked_equal(_largest(fractions, pool), EMPTY)
    edge = len(cells) * pool - 0.5
    side = _side(len(classes))
    with canvas(side + 2.4, side + 1.4) as figure:
        axes = figure.subplots()
        colours = colormaps["Blues"].with_extremes(bad=GREY)
        norm, extent = PowerNorm(0.5, 0, 1), (-0.5, edge, edge, -0.5)
        shown = axes.imshow(cells, cmap=colours, norm=norm, interpolation="nearest", extent=extent)
        axes.set(xlim=(-0.5, len(classes) - 0.5), ylim=(len(classes) - 0.5, -0.5))
        bar = figure.colorbar(shown, ax=axes, shrink=0.8, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1])
        bar.ax.set_yticklabels(["0 %", "1 %", "5 %", "10 %", "25 %", "50 %", "75 %", "100 %"])
        bar.set_label(
            "fraction of the true class, square-root scale"
            if pool == 1
            else f"largest fraction of a true class in a cell of {pool} × {pool} classes, square-root scale"
        )
        axes.spines[:].set_visible(True)
        axes.set_xlabel("predicted class")
        axes.set_ylabel("true class")
        axes.set_title(wrapped(title, side + 2.4), parse_math=False)
        if len(classes) <= MAX_NAMED:
            _name(axes, classes)
            axes.set_xticks(np.arange(1, len(classes)) - 0.5, minor=True)
            axes.set_yticks(np.arange(1, len(classes)) - 0.5, minor=True)
            axes.tick_params(which="minor", length=0)
            axes.grid(which="minor", color="#d0d8e0", linewidth=0.4)
        if len(classes) <= MAX_COUNTED:
            _count(axes, confusion, fractions, 72 * side / len(classes))
        return png(figure)


def _largest(fractions: npt.NDArray[np.float64], pool: int) -> npt.NDArray[np.float64]:
    """Max-pool with a `pool` by `pool` window; the last windows are padded with `EMPTY`."""
    missing = -len(fractions) % pool
    filled = np.pad(fractions, (0, missing), constant_values=EMPTY)
    squares = len(filled) // pool
    return np.asarray(filled.reshape(squares, pool, squares, pool).max((1, 3)))


def _side(classes: int) -> float:
    """Return the side of the matrix in inches."""
    return min(max(3.5, 0.55 * classes), 10.0)


def _name(axes: "Axes", classes: Sequence[str]) -> None:
    known = glyphs()
    size = 10 if len(classes) <= 20 else 7
    names = labels(classes, known, 20)
    rotation = 0 if max(map(len, names)) <= 3 else 45 if len(classes) <= 20 else 90
    positions = range(len(classes))
    axes.set_xticks(positions, names, rotation=rotation, fontsize=size, parse_math=False)
    for tick in axes.get_xticklabels() if rotation == 45 else ():
        tick.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(positions, names, fontsize=size, parse_math=False)


def _count(axes: "Axes", confusion: Counts, fractions: npt.NDArray[np.float64], cell: float) -> None:
    """Write the counts other than 0 into the cells, `cell` points wide, if the longest fits in a readable size."""
    longest = len(f"{confusion.max():,}")
    size = min(11.0, 0.9 * cell / (0.64 * longest))
    if size < 6:
        return
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            colour = "white" if fractions[row, column] > 0.4 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=size, color=colour)
