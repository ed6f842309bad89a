"""Results on standard output: JSON, verdicts, fields, and tables; laid out in a terminal, one line each in a pipe.

This is the place that decides how a verdict is printed: as a word in capitals, green, red or yellow where there are
colours.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click

from zoo.api.terminal import cells, columns, erase_announcement, has_colour, wrapped, write_line
from zoo.cli.table import table_lines
from zoo.contract.printable import json_text, plain

COLOURS = {"PASS": "green", "FAIL": "red"}  # the others are yellow
CAUSE, NEXT = "error: ", "  next: "


def print_json(data: Any) -> None:
    """Write `data` as indented JSON, in which what a terminal would obey is escaped."""
    erase_announcement()
    click.echo(json_text(data))


def print_line(text: str, *, err: bool = False) -> None:
    """Write one line, whatever names are in it, to standard output or standard error."""
    write_line(plain(text), sys.stderr if err else sys.stdout)


def verdict_text(verdict: str, text: str) -> str:
    """A result with its verdict, such as `PASS: exports/x computes what the model computes`."""
    return f"{verdict.upper()}: {text}"


def print_verdict(verdict: str, text: str) -> None:
    """Write a result with its verdict in one line.

    Args:
        verdict: `pass`, `fail`, `inconclusive`, `overridden` or `unverified`.
    """
    erase_announcement()
    _write(verdict_text(verdict, text), verdict, sys.stdout, hang=2)


def print_error(cause: str, next_step: str, verdict: str = "") -> None:
    """Write an error to standard error: its cause and the next step, in a line each.

    Args:
        verdict: of the check that failed.
    """
    erase_announcement()
    _write(CAUSE + (verdict_text(verdict, cause) if verdict else cause), verdict, sys.stderr, len(CAUSE))
    _write(NEXT + next_step, "", sys.stderr, len(NEXT))


def _write(text: str, verdict: str, stream: TextIO, hang: int) -> None:
    """Write a line with the first mention of the verdict in colour; it is within the first line of the terminal."""
    width, line = columns(stream), plain(text)
    if width is not None:
        line = "\n".join(wrapped(line, width, hang))
    if verdict and has_colour(stream):
        word = verdict.upper()
        line = line.replace(word, click.style(word, fg=COLOURS.get(word, "yellow"), bold=True), 1)
    click.echo(line, file=stream)


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[object]], *, shorten: str = "", optional: Sequence[str] = ()
) -> None:
    """Write rows under headings: aligned in a terminal, tab-separated elsewhere.

    In a terminal that is too narrow, text wraps at spaces; where that is not enough, each row becomes several lines.

    Args:
        shorten: a column whose text is cut after a word, so that each row is one line.
        optional: columns that are left out of a narrow terminal, the first one first.
    """
    erase_announcement()
    texts = [[plain(cell) for cell in row] for row in rows]
    width = columns(sys.stdout)
    if width is None:
        for row in [list(headings), *texts]:
            click.echo("\t".join(row))
        return
    for line in table_lines(list(headings), texts, width, shorten=shorten, optional=optional):
        click.echo(line)


def print_fields(fields: Mapping[str, object]) -> None:
    """Write names and values, one pair a line; empty values are left out."""
    erase_announcement()
    shown = {plain(name): plain(value) for name, value in fields.items() if value not in ("", None, (), [], {})}
    longest, width = max((cells(name) for name in shown), default=0), columns(sys.stdout)
    for name, value in shown.items():
        line = f"{name}{' ' * (longest - cells(name))}  {value}"
        click.echo(line if width is None else "\n".join(wrapped(line, width, longest + 2)))
