"""Pictures that are the same bytes on every machine: matplotlib's own defaults and font, no window, no date."""

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
    """A white figure of `width` by `height` inches. It is laid out when `png` draws it, which is to be done inside.

    What the machine's `matplotlibrc` says is not heeded, and nothing is written to standard error.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its font cache, and of folders it lacks
    import matplotlib
    from matplotlib.figure import Figure

    # a Figure of its own needs no backend, and setting one would reach beyond this block
    defaults: Any = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    with matplotlib.rc_context(defaults):
        matplotlib.rcParams["font.family"] = ["DejaVu Sans"]  # which comes with matplotlib
        matplotlib.rcParams["axes.spines.top"] = matplotlib.rcParams["axes.spines.right"] = False
        yield Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def png(figure: "Figure") -> bytes:
    """`figure` as a PNG file, without a date or a version in it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def glyphs() -> Collection[int]:
    """The code points of the letters that pictures can show."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=["DejaVu Sans"]))).get_charmap())
