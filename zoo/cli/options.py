"""Options that several commands share."""

from typing import TYPE_CHECKING

import click

from zoo.cli.grouped_options import AliasedOption

if TYPE_CHECKING:
    from zoo.models.load import BuildArgs


json_option = click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
device_option = click.option(
    "--device", default="auto", show_default=True, help="Device: auto, cpu, cuda, cuda:N or mps."
)
trust_option = click.option(
    "--trust", is_flag=True, help="Run exported files in this process, without limits on memory and time."
)
expect_digest_option = click.option(
    "--expect-digest",
    metavar="SHA256",
    help="Refuse MODEL unless this is its digest, as `zoo weights verify` or, for an export, `zoo verify` shows it.",
)
download_weights_option = click.option(
    "--download", is_flag=True, help="Download weights that a plugin provides if they are missing."
)
force_option = click.option("--force", is_flag=True, help="Overwrite existing files.")
param_option = click.option(
    "--param",
    "-p",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the architecture; can be repeated.",
)
img_size_option = click.option(
    "--img-size",
    "img_size",
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
    num_classes: int | None, channels: int | None, img_size: int | None, params: tuple[str, ...]
) -> "BuildArgs":
    """How to build an architecture without weights, from the options above. `params` are converted later."""
    from zoo.contract.params import split_params
    from zoo.models.load import BuildArgs

    return BuildArgs(num_classes=num_classes, channels=channels, img_size=img_size, params=split_params(params) or None)
