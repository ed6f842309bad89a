"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.grouped_options import AliasedOption

if TYPE_CHECKING:
    from zoo.models.importing.stated import PreprocessOverrides
    from zoo.models.load import BuildArgs


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Numbers with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            return self.fail(f"{value!r} is not a list of numbers, such as 0.485,0.456,0.406.", param, ctx)


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
    "--download", is_flag=True, help="Download weights that a plugin or the hub provides if they are missing."
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
labels_option = click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File with the class names in the order of the logits: one in each line, or a JSON list.",
)
input_shape_option = click.option(
    "--input-shape", metavar="C,H,W", type=Numbers(), help="Channels, height and width of the images of a module."
)
mean_option = click.option(
    "--mean", metavar="M,M,M", type=Numbers(), help="Mean of the images on 0 to 1: a number, or one for each channel."
)
std_option = click.option("--std", metavar="S,S,S", type=Numbers(), help="Standard deviation of the images, likewise.")
shorter_side_option = click.option(
    "--shorter-side",
    type=click.IntRange(0),
    help="Resize the shorter side to this many pixels and crop the centre (0: resize without keeping the ratio).",
)
interpolation_option = click.option(
    "--interpolation",
    type=click.Choice(["nearest", "bilinear", "bicubic"]),
    help="How images are resized.",
)


def build_args(
    num_classes: int | None, channels: int | None, img_size: int | None, params: tuple[str, ...]
) -> "BuildArgs":
    """How to build an architecture without weights, from the options above. `params` are converted later."""
    from zoo.contract.params import split_params
    from zoo.models.load import BuildArgs

    return BuildArgs(num_classes=num_classes, channels=channels, img_size=img_size, params=split_params(params) or None)


def preprocess_overrides(
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    shorter_side: int | None,
    interpolation: Any,
) -> "PreprocessOverrides | None":
    """What the options above say; `None` if none was given."""
    if (mean, std, shorter_side, interpolation) == (None,) * 4:
        return None
    from zoo.models.importing.stated import PreprocessOverrides

    return PreprocessOverrides(mean=mean, std=std, shorter_side=shorter_side, interpolation=interpolation)


def module_preprocess(input_shape: tuple[float, ...] | None, overrides: "PreprocessOverrides | None") -> dict[str, Any]:
    """`input_shape` and `preprocess` of a module that no plugin declares, as `zoo.export` takes them."""
    from zoo.contract.errors import UsageError

    shape = None if input_shape is None else tuple(map(int, input_shape))
    if shape is not None and (len(shape) != 3 or shape != input_shape):
        raise UsageError("--input-shape is not three integers.", "Write it as 3,224,224.")
    if overrides is None:
        return {"input_shape": shape}
    if shape is None:
        raise UsageError("--mean, --std, --shorter-side and --interpolation require --input-shape.", "Add it.")
    from zoo.api.modules.live_module import default_preprocess

    return {"preprocess": overrides.applied(default_preprocess(shape))}
