"""Options that several commands share."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zoo.models.load import BuildArgs


class Number(click.FloatRange):
    """A number in a range; click lets NaN through, which is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is no number.", param, ctx) if math.isnan(number) else number


json_option = click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
data_root_option = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help="Folder that holds the data sets.  [default: $ZOO_DATA, else a folder in your cache]",
)
download_option = click.option("--download", is_flag=True, help="Fetch the data set where it is missing.")
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N or mps.")
workers_option = click.option(
    "--workers", "-j", type=click.IntRange(0), help="Processes that read images.  [default: the cores, 8 at most]"
)
memory_limit_option = click.option(
    "--memory-limit",
    type=Number(0),
    default=4.0,
    show_default=True,
    help="GiB of decoded images to hold in memory; a larger split is read anew in each epoch.",
)
cache_option = click.option(
    "--cache/--no-cache", default=True, help="Keep decoded images on the disk for the next time.  [default: cache]"
)
force_option = click.option("--force", is_flag=True, help="Replace what is there.")
param_option = click.option(
    "--param", "-p", "params", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the architecture."
)
image_size_option = click.option("--img-size", "image_size", type=click.IntRange(1), help="Height and width in pixels.")
channels_option = click.option("--channels", type=click.IntRange(1), help="1 for grey, 3 for RGB.")
num_classes_option = click.option("--num-classes", type=click.IntRange(1), help="Classes of a fresh model.")


def fresh(
    num_classes: int | None, channels: int | None, image_size: int | None, params: tuple[str, ...]
) -> "BuildArgs":
    """How a bare architecture is to be built, from the options above. The texts of `params` are parsed later."""
    from zoo.contract.errors import UsageError
    from zoo.models.load import BuildArgs

    pairs = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is not of the form NAME=VALUE.", "Write for example: activation=relu")
        pairs[name] = value
    return BuildArgs(num_classes=num_classes, channels=channels, image_size=image_size, params=pairs or None)
