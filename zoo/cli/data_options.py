"""Options on where data sets lie and how they are read, which several commands share."""

import math
from pathlib import Path
from typing import Any

import click

from zoo.data.read_options import MEMORY_LIMIT, MOST_WORKERS


class Number(click.FloatRange):
    """A number in a range; click lets NaN through, which is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number.", param, ctx) if math.isnan(number) else number


data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help="Folder of the data sets.  [default: $ZOO_DATA, else a folder in your cache]",
)
download_option = click.option(
    "--download", is_flag=True, help="Download the data set, and weights that a plugin provides, if they are missing."
)
workers_option = click.option(
    "--workers",
    "-j",
    type=click.IntRange(0, MOST_WORKERS),
    help="Number of processes that read images.  [default: cores, at most 8]",
)
memory_limit_option = click.option(
    "--memory-limit",
    type=Number(0),
    default=MEMORY_LIMIT,
    show_default=True,
    help="Keep up to this many GiB of decoded images in memory; a larger split is read from disk.",
)
cache_option = click.option("--cache/--no-cache", default=True, help="Cache decoded images on disk.  [default: on]")
