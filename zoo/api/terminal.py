"""What depends on the terminal: its width, where lines break, colours, and the line that is shown while zoo starts.

Only spaces are places to break a line: a word or a path that is longer than the terminal stays whole on a line of its
own, so that it can be read, searched for and copied.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import TextIO

import click

LOADING = "loading PyTorch"  # what most commands do first; it takes seconds
NARROWEST = 20  # columns; a terminal that says less is laid out as if it had as many
UNKNOWN = 80  # columns, where a terminal does not say
# A piece that stays on one line if it can: a word, code in backquotes, or a number with its unit
PIECE = re.compile(r"(\s*)((?:`[^`]*`|\S| (?=[%×]))+)")
WORD = re.compile(r"(\s*)(\S+)")


def columns(stream: TextIO) -> int | None:
    """The width of the terminal that a stream writes to; `None` if it is no terminal. `COLUMNS` overrides it."""
    if not stream.isatty():
        return None
    width = os.environ.get("COLUMNS", "")
    if width.isascii() and width.isdecimal() and int(width):
        return max(int(width), NARROWEST)
    with suppress(OSError, ValueError):
        return max(os.get_terminal_size(stream.fileno()).columns or UNKNOWN, NARROWEST)
    return UNKNOWN


def cells(text: str) -> int:
    """How many columns of a terminal a text without control characters takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(mark) else 1 + (unicodedata.east_asian_width(mark) in ("W", "F")) for mark in text
    )


def wrapped(text: str, width: int, hang: int = 0) -> list[str]:
    """Break a line at spaces.

    Args:
        width: columns of a line. A longer word stays whole on a line of its own.
        hang: columns by which all lines but the first are indented. Indentation is less if a word would not fit
            otherwise.
    """
    pieces = [(gap, piece, cells(piece)) for gap, piece in _pieces(text, width - hang)]
    hang = min([hang, *(width - size for _, _, size in pieces[1:] if size <= width)])
    lines, line, used = list[str](), "", 0
    for gap, piece, size in pieces:
        if (used or lines) and used + len(gap) + size > width:
            lines.append(line)
            indent = hang if size <= width else 0
            line, used = " " * indent + piece, indent + size
        elif len(gap) + size > width:  # the first word: too long for its indentation
            line, used = piece, size
        else:
            line, used = f"{line}{gap}{piece}", used + len(gap) + size
    return [*lines, line]


def _pieces(text: str, room: int) -> Iterator[tuple[str, str]]:
    """The pieces of a text, each with the white space before it; code that does not fit in `room` word by word."""
    for match in PIECE.finditer(text):
        gap, piece = match[1], match[2]
        if " " not in piece or cells(piece) <= room:
            yield gap, piece
        else:
            yield from ((word[1] if word.start() else gap, word[2]) for word in WORD.finditer(piece))


def write_line(text: str, stream: TextIO, hang: int = 2) -> None:
    """Write a line of text without control characters, broken at spaces in a terminal and whole elsewhere."""
    erase_announcement()
    width = columns(stream)
    click.echo(text if width is None else "\n".join(wrapped(text, width, hang)), file=stream)


def has_colour(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_announced = ""  # what stands on the last line of the terminal, until something else is written


def announce(stage: str) -> None:
    """Show in the terminal what a command does before it has anything to write, such as importing PyTorch.

    The line is erased when something else is written. Nothing is shown where standard error is no terminal, or by a
    rank other than 0.
    """
    global _announced
    width = columns(sys.stderr)
    if width is None or os.environ.get("RANK", "0") != "0":
        return
    is_dumb = os.environ.get("TERM") == "dumb"  # cannot erase a line
    erase_announcement()
    sys.stderr.write(f"{stage} …\n" if is_dumb else f"{stage[: width - 3]} …")
    sys.stderr.flush()
    _announced = "" if is_dumb else stage


def erase_announcement() -> str:
    """Erase the line of `announce`, if it is still there, and return its text."""
    global _announced
    stage, _announced = _announced, ""
    if stage:
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()
    return stage
