"""Lay out a table in the columns of a terminal, without breaking a word."""

import re
from collections.abc import Sequence

from zoo.api.terminal import cells, wrapped
from zoo.contract.printable import shortened

NUMBER = re.compile(r"([\d,.]+( %| kB| MB)?|n/a|\d+(×\d+)+)?")  # what a column of numbers holds
GAP = 2  # columns between two columns of a table
SHORTEST = 24  # columns of a text that is shortened; where it gets fewer, optional columns are left out

Rows = list[list[str]]


def table_lines(
    headings: list[str], rows: Rows, width: int, *, shorten: str = "", optional: Sequence[str] = ()
) -> list[str]:
    """The lines of a table, each at most `width` columns wide if its words are.

    Text wraps. If that is not enough, the last cell of each row is on lines of its own; or all cells are.

    Args:
        rows: texts without control characters.
        shorten: a column whose text is cut after a word to fit. Without it, the text of all columns wraps.
        optional: columns that are left out, in this order, until the others have room.
    """
    if shorten:
        return _shortened(headings, rows, width, shorten, optional)
    for name in optional:
        if _fitted(least := _longest_words(headings, rows), least, width) is not None:
            break
        headings, rows = _without(name, headings, rows)
    widths, least = _widths(headings, rows), _longest_words(headings, rows)
    last = len(headings) - 1
    if (fitted := _fitted(widths, least, width)) is not None:
        return _aligned(headings, rows, fitted)
    if last > 1 and (fitted := _fitted(widths[:last], least[:last], width)) is not None:
        below = [wrapped(f"{' ' * GAP}{row[last]}", width, GAP) if row[last] else [] for row in (headings, *rows)]
        return _aligned(headings[:last], [row[:last] for row in rows], fitted, below)
    return _stacked(headings, rows, width)


def _fitted(widths: list[int], least: list[int], width: int) -> list[int] | None:
    """The widths of columns whose table is at most `width` wide; `None` if a word would be broken."""
    widths = list(widths)
    if sum(least) + GAP * (len(least) - 1) > width:
        return None
    while (excess := sum(widths) + GAP * (len(widths) - 1) - width) > 0:
        widest = max(range(len(widths)), key=lambda index: widths[index] - least[index])
        widths[widest] -= min(excess, max(1, (widths[widest] - least[widest]) // 2))
    return widths


def _shortened(headings: list[str], rows: Rows, width: int, shorten: str, optional: Sequence[str]) -> list[str]:
    left_out = list(optional)
    while True:
        widths, at = _widths(headings, rows), headings.index(shorten)
        room = width - sum(widths) + widths[at] - GAP * (len(widths) - 1)
        if room >= min(widths[at], SHORTEST) or not left_out:
            break
        headings, rows = _without(left_out.pop(0), headings, rows)
    room = max(room, len(shorten))
    rows = [[*row[:at], _cut(row[at], room), *row[at + 1 :]] for row in rows]
    return _aligned(headings, rows, _widths(headings, rows))


def _without(name: str, headings: list[str], rows: Rows) -> tuple[list[str], Rows]:
    """A table without one of its columns."""
    index = headings.index(name)
    headings, *rows = ([cell for column, cell in enumerate(row) if column != index] for row in (headings, *rows))
    return headings, rows


def _cut(text: str, room: int) -> str:
    """`text`, cut after a word to fit, and not within code; its characters may be two columns wide."""
    longest = room
    while cells(cut := shortened(text, longest)) > room and longest > 1:
        longest -= 1
    return f"{cut[: cut.rindex('`')].rstrip()}…" if cut.endswith("…") and cut.count("`") % 2 else cut


def _widths(headings: list[str], rows: Rows) -> list[int]:
    return [max(map(cells, column)) for column in zip(headings, *rows, strict=True)]


def _longest_words(headings: list[str], rows: Rows) -> list[int]:
    """The width below which each column would break a word, or a number from its unit."""
    return [
        max(cells(piece.strip()) for cell in column for piece in wrapped(cell, 1))
        for column in zip(headings, *rows, strict=True)
    ]


def _aligned(headings: list[str], rows: Rows, widths: list[int], below: Sequence[list[str]] = ()) -> list[str]:
    """The lines of a table whose cells wrap to `widths`; `below` are further lines of the headings and of each row."""
    columns = list(zip(headings, *rows, strict=True))
    right = [all(NUMBER.fullmatch(cell) for cell in cells_below) for _, *cells_below in columns]
    lines = list[str]()
    for number, row in enumerate((headings, *rows)):
        parts = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for index in range(max(map(len, parts))):
            texts = [part[index] if index < len(part) else "" for part in parts]
            pads = [" " * (width - cells(text)) for text, width in zip(texts, widths, strict=True)]
            joined = (pad + text if flush else text + pad for text, pad, flush in zip(texts, pads, right, strict=True))
            lines.append((" " * GAP).join(joined).rstrip())
        lines += below[number] if below else []
        lines += [(" " * GAP).join("─" * width for width in widths)] if row is headings else []
    return [*lines, ""]


def _stacked(headings: list[str], rows: Rows, width: int) -> list[str]:
    """Each row as its first cell, and below it the others with their headings."""
    lines = []
    for row in rows:
        lines += wrapped(row[0] if row[0] else headings[0], width, GAP)
        longest = max(map(cells, headings[1:]), default=0)
        for heading, cell in zip(headings[1:], row[1:], strict=True):
            if cell:
                pad = " " * (longest - cells(heading))
                lines += wrapped(f"{' ' * GAP}{heading}{pad}  {cell}", width, 2 * GAP + longest)
    return [*lines, ""]
