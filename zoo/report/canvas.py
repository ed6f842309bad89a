"""Reproducible plots: matplotlib's default style and font, no window, and no date in the file."""

import io
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100


@contextmanager
def canvas(width: float, height: float) -> Iterator["Figure"]:
    """A white figure of `width` by `height` inches. Call `png` inside the block: it applies the layout.

    The user's `matplotlibrc` is ignored, and nothing is written to standard error.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it logs its font cache and missing folders
    import matplotlib
    from matplotlib.figure import Figure

    # a bare Figure needs no backend, and setting one would affect code outside this block
    defaults: Any = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    with matplotlib.rc_context(defaults):
        matplotlib.rcParams["font.family"] = ["DejaVu Sans"]  # the font that matplotlib ships
        matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
        yield Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def png(figure: "Figure") -> bytes:
    """Return `figure` as a PNG file without date and version."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def glyphs() -> Collection[int]:
    """Return the code points of the characters in the font."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=["DejaVu Sans"]))).get_charmap())
