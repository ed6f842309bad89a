"""Options on labels and preprocessing, for weights and modules that say neither."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zoo.models.importing.stated import PreprocessOverrides


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


labels_option = click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="File with the class names in the order of the logits: one in each line, or a JSON list.",
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
