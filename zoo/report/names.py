"""Make class names safe for Markdown pages and plots: they come from folders and files, and may contain anything."""

import re
import textwrap
from collections import Counter
from collections.abc import Collection, Sequence

from zoo.contract.printable import plain

MAX_NAME = 60  # characters of a name on a page
CHARS_PER_INCH = 9  # characters of a title per inch

# The characters that have a meaning in GitHub's Markdown or in HTML: emphasis, code, links, tables, tags, entities,
# mathematics, mentions, and autolinks.
_MARKS = re.compile(r"[\\`*_\[\]<>|~&$:@#!]|(?<=www)\.", re.IGNORECASE)


def one_line(text: str, limit: int = MAX_NAME) -> str:
    """Return `text` on one line of at most `limit` characters, without control characters."""
    line = " ".join(plain(text).split())
    if len(line) <= limit:
        return line
    end = (limit - 1) // 3  # keep the end: names with a common prefix often differ there
    return f"{line[: limit - 1 - end]}…{line[len(line) - end :]}"


def markdown(text: str, limit: int = MAX_NAME) -> str:
    """Escape `text` for a cell or a line of a Markdown page."""
    return _MARKS.sub(r"\\\g<0>", one_line(text, limit))


def wrapped(title: str, width: float) -> str:
    """Wrap a title to the width of a plot, in inches."""
    return "\n".join(part for line in title.splitlines() for part in textwrap.wrap(line, int(CHARS_PER_INCH * width)))


def labels(names: Sequence[str], glyphs: Collection[int], limit: int) -> list[str]:
    """Return distinct labels for class names in a plot.

    A name becomes `#index` if it is empty, equals another after truncation, or has a character that the font lacks.

    Args:
        glyphs: the code points that the font has.
        limit: the maximum number of characters.
    """
    cut = [one_line(name, limit) for name in names]
    counts = Counter(cut)
    return [
        text if text and counts[text] == 1 and all(ord(mark) in glyphs for mark in text) else f"#{index}"
        for index, text in enumerate(cut)
    ]
