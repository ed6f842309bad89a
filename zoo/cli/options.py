"""Options that several commands share."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.grouped_options import AliasedOption
from zoo.data.read_options import MEMORY_LIMIT

if TYPE_CHECKING:
    from zoo.models.load import BuildArgs


class Number(click.FloatRange):
    """A number in a range; click lets NaN through, which is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number.", param, ctx) if math.isnan(number) else number


json_option = click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help="Folder of the data sets.  [default: $ZOO_DATA, else a folder in your cache]",
)
download_option = click.option("--download", is_flag=True, help="Download the data set if it is missing.")
device_option = click.option(
    "--device", default="auto", show_default=True, help="Device: auto, cpu, cuda, cuda:N or mps."
)
workers_option = click.option(
    "--workers", "-j", type=click.IntRange(0), help="Number of processes that read images.  [default: cores, at most 8]"
)
memory_limit_option = click.option(
    "--memory-limit",
    type=Number(0),
    default=MEMORY_LIMIT,
    show_default=True,
    help="Keep up to this many GiB of decoded images in memory; a larger split is read again in each epoch.",
)
cache_option = click.option("--cache/--no-cache", default=True, help="Cache decoded images on disk.  [default: on]")
force_option = click.option("--force", is_flag=True, help="Overwrite existing files.")
param_option = click.option(
    "--param",
    "-p",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the architecture; can be repeated.",
)
image_size_option = click.option(
    "--img-size",
    "image_size",
    cls=AliasedOption,
    aliases=["--image-size"],
    type=click.IntRange(1),
    help="Height and width of the images in pixels.",
)
channels_option = click.option(
    "--channels", type=click.IntRange(1), help="Number of image channels: 1 for greyscale, 3 for RGB."
)
num_classes_option = click.option(
    "--num-classes", type=click.IntRange(1), help="Number of classes of a model without weights."
)


def build_args(
    num_classes: int | None, channels: int | None, image_size: int | None, params: tuple[str, ...]
) -> "BuildArgs":
    """How to build an architecture without weights, from the options above. `params` are converted later."""
    from zoo.contract.params import split_params
    from zoo.models.load import BuildArgs

    return BuildArgs(
        num_classes=num_classes, channels=channels, image_size=image_size, params=split_params(params) or None
    )
