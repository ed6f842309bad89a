"""`zoo summary`: a model's layers, output shapes and parameters."""

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from zoo.api.terminal import LOADING, announce, erase_announcement
from zoo.cli.options import (
    build_args,
    channels_option,
    download_weights_option,
    img_size_option,
    json_option,
    num_classes_option,
    param_option,
)
from zoo.cli.output import print_fields, print_json, print_table
from zoo.contract.printable import plain_lines

if TYPE_CHECKING:
    import torchinfo

    from zoo.cli.main import Lazy


UNITS = re.compile(r"Units\.([A-Z])[A-Z]+")  # torchinfo writes (Units.MEGABYTES) instead of (M)


@click.command("summary")
@click.argument("model")
@click.option(
    "--batch-size", "-b", type=click.IntRange(1), default=1, show_default=True, help="Batch size of the shapes shown."
)
@click.option("--depth", type=click.IntRange(1), default=10, show_default=True, help="Levels of nested modules.")
@num_classes_option
@channels_option
@img_size_option
@param_option
@download_weights_option
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    model: str,
    batch_size: int,
    depth: int,
    num_classes: int | None,
    channels: int | None,
    img_size: int | None,
    params: tuple[str, ...],
    download: bool,
    as_json: bool,
) -> None:
    """Show the layers, output shapes and parameters of MODEL.

    MODEL is an ARCH.TAG, the path of a weights file, a folder with config.json and model.safetensors, or an
    architecture.
    """
    announce(LOADING)
    import torch
    import torchinfo

    from zoo.models.forward import explain_model_errors
    from zoo.models.load import open_model

    opened = open_model(lazy.registry, model, build_args(num_classes, channels, img_size, params), download=download)
    shape = (batch_size, *opened.card.preprocess.input_shape)
    with explain_model_errors(torch.device("cpu")):
        images = torch.zeros(shape)
        with torch.inference_mode():
            opened.module(images)  # torchinfo would hide the error
        summary = torchinfo.summary(
            opened.module,
            input_data=images,
            device="cpu",
            depth=depth,
            col_names=("output_size", "num_params", "mult_adds"),
            row_settings=("var_names",),
            verbose=0,
        )
    if not as_json:
        _print_summary(summary, depth)
        return
    print_json(
        {
            "model": opened.name,
            "layers": [_layer(layer) for layer in summary.summary_list if layer.depth <= depth],
            "parameters": summary.total_params,
            "trainable": summary.trainable_params,
            "mult_adds": summary.total_mult_adds,
            "input_bytes": summary.total_input,
            "activation_bytes": summary.total_output_bytes,
            "parameter_bytes": summary.total_param_bytes,
        }
    )


def _print_summary(summary: "torchinfo.ModelStatistics", depth: int) -> None:
    """Print torchinfo's own text, or in a terminal a narrower table."""
    if not sys.stdout.isatty():
        erase_announcement()
        click.echo(plain_lines(UNITS.sub(lambda unit: unit[1][0], str(summary))))
        return
    print_table(
        ["layer", "output shape", "parameters", "mult-adds"],
        [
            [
                f"{'  ' * layer.depth}{layer.class_name} ({layer.var_name})",
                "×".join(map(str, layer.output_size)),
                "" if layer.children else f"{layer.num_params:,}",
                "" if layer.children else f"{layer.macs:,}",
            ]
            for layer in summary.summary_list
            if layer.depth <= depth
        ],
    )
    print_fields(
        {
            "parameters": f"{summary.total_params:,}",
            "trainable": f"{summary.trainable_params:,}",
            "mult-adds": f"{summary.total_mult_adds:,}",
            "input": f"{summary.total_input / 1e6:.2f} MB",
            "activations": f"{summary.total_output_bytes / 1e6:.2f} MB",
            "parameters in memory": f"{summary.total_param_bytes / 1e6:.2f} MB",
        }
    )


def _layer(layer: Any) -> dict[str, Any]:
    return {
        "name": layer.var_name,
        "type": layer.class_name,
        "depth": layer.depth,
        "output_shape": layer.output_size,
        "parameters": layer.num_params,
    }
