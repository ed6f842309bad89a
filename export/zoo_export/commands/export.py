"""`zoo export`: write a model in exchange formats, and check that the artifacts compute what it computes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.api.terminal import LOADING, announce
from zoo.cli.data_options import data_root_option
from zoo.cli.options import (
    channels_option,
    download_weights_option,
    expect_digest_option,
    force_option,
    img_size_option,
    input_shape_option,
    interpolation_option,
    json_option,
    labels_option,
    mean_option,
    module_preprocess,
    num_classes_option,
    param_option,
    preprocess_overrides,
    shorter_side_option,
    std_option,
)
from zoo.cli.progress import progress
from zoo_export.commands.formats import format_names
from zoo_export.commands.imports import importing
from zoo_export.commands.messages import print_failure
from zoo_export.commands.provider import provider_option
from zoo_export.commands.results import print_export

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


@click.command("export")
@click.argument("model")
@click.option(
    "--format",
    "-f",
    "formats",
    default="",
    help="Formats to write, comma-separated.  [default: those that `zoo list formats` marks so]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Folder to write.  [default: exports/MODEL]",
)
@click.option(
    "--atol", type=float, metavar="A", help="Allow each logit A + R · |truth| in place of the default tolerance."
)
@click.option("--rtol", type=float, metavar="R", help="Relative tolerance; see --atol.")
@click.option(
    "--accept-coverage",
    type=float,
    metavar="FRACTION",
    help="Publish an inconclusive export if its check covers this fraction of the parameter tensors; mark it so.",
)
@click.option("--no-verify", is_flag=True, help="Do not check the artifacts; mark the export unverified.")
@click.option(
    "--save-failure",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="If an artifact fails its check, write a folder DIR that reproduces the failure.",
)
@num_classes_option
@channels_option
@img_size_option
@param_option
@input_shape_option
@labels_option
@mean_option
@std_option
@shorter_side_option
@interpolation_option
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    help="Precision of the artifacts, such as fp16; see `zoo list precisions`. Images and logits stay float32.",
)
@click.option("--dynamic-size", is_flag=True, help="Make the height and width of images dynamic, too.")
@click.option(
    "--opset",
    type=int,
    metavar="N",
    help="Operator set to write, of formats that have several.  [default: the format's own]",
)
@expect_digest_option
@download_weights_option
@provider_option
@data_root_option
@force_option
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    /,
    model: str,
    formats: str,
    no_verify: bool,
    channels: int | None,
    img_size: int | None,
    params: tuple[str, ...],
    input_shape: tuple[float, ...] | None,
    labels: Path | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    shorter_side: int | None,
    interpolation: str | None,
    provider: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Export MODEL: an ARCH.TAG, a path to a weights file, a folder with config.json and model.safetensors, or an
    architecture with fresh weights.

    MODEL may also be package.module:factory or file.py:factory, a function that returns an nn.Module; then
    --input-shape, --labels, --mean, --std, --shorter-side and --interpolation describe it.

    Every artifact is loaded again, run on images that it was not traced with, and compared with the model in float64.
    If one differs by more than rounding explains, nothing is written and the exit code is 3.

    --atol and --rtol replace the default tolerance, --accept-coverage publishes although the check is inconclusive,
    and --no-verify skips it; the export stays marked so.
    """
    announce(LOADING)
    with importing():
        import zoo_export.pipeline  # noqa: F401
        from zoo.api.exporting import chosen_formats, export
        from zoo.contract.errors import DifferenceError
        from zoo.contract.params import split_params
        from zoo.models.importing.stated import read_labels
        from zoo.registry.model_kind import ModelKind, model_kind
        from zoo.registry.refs import resolve
        from zoo_export.devices import parse_devices

        for entry in chosen_formats(lazy.registry, format_names(formats)):
            resolve(entry, entry.spec.export)

    try:
        with progress() as show:
            exported = export(
                model,
                formats=format_names(formats),
                verify=not no_verify,
                in_channels=channels,
                img_size=img_size,
                params=split_params(params),
                labels=None if labels is None else read_labels(labels),
                **module_preprocess(input_shape, preprocess_overrides(mean, std, shorter_side, interpolation)),
                devices=parse_devices(provider),
                **options,
                callback=show,
                registry=lazy.registry,
            )
    except DifferenceError as error:
        if as_json:
            print_failure(error)
        raise
    print_export(
        lazy.registry, exported, fresh=model_kind(lazy.registry, model) is ModelKind.ARCHITECTURE, as_json=as_json
    )
