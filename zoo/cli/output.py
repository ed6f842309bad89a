"""Results on standard output: JSON, a table in a terminal, tab-separated columns in a pipe."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from zoo.contract.printable import json_text, plain

NUMBER = re.compile(r"([\d,.]+( %| kB| MB)?|n/a|\d+(×\d+)+)?")  # what a column of numbers holds


def print_json(data: Any) -> None:
    """Write `data` as indented JSON, in which what a terminal would obey is escaped."""
    click.echo(json_text(data))


def print_line(text: str, *, err: bool = False) -> None:
    """Write one line, whatever names are in it, to standard output or standard error."""
    click.echo(plain(text), err=err)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """Write rows under headings: drawn with rich in a terminal, tab-separated and without the title elsewhere."""
    if not sys.stdout.isatty():
        for row in [headings, *rows]:
            click.echo("\t".join(plain(cell) for cell in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.columns[0].no_wrap = True  # the name, which people type; other columns wrap
    for column in table.columns[1:]:
        column.overflow = "fold"
    for column, cells in zip(table.columns, zip(*rows, strict=True), strict=False):
        if all(NUMBER.fullmatch(str(cell)) for cell in cells):
            column.justify = "right"
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    Console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Write names and values, one pair a line; empty values are left out."""
    shown = {name: value for name, value in fields.items() if value not in ("", None, (), [], {})}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        click.echo(f"{plain(name):<{width}}  {plain(value)}")
