"""`zoo weights import`: store a checkpoint or state dict of other software as a weights file."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.api.terminal import LOADING, announce
from zoo.cli.options import (
    channels_option,
    force_option,
    img_size_option,
    interpolation_option,
    json_option,
    labels_option,
    mean_option,
    num_classes_option,
    param_option,
    preprocess_overrides,
    shorter_side_option,
    std_option,
)
from zoo.cli.output import print_json, print_line, print_table
from zoo.cli.progress import progress

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.models.importing.names import Pair


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--architecture", required=True, metavar="NAME", help="Architecture that the weights are of.")
@click.option("--tag", default="imported", show_default=True, help="Store the weights as ARCH.TAG.safetensors.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("weights"),
    show_default=True,
    help="Folder for the weights file.",
)
@click.option("--key", default="", help="State dict to take from a checkpoint, such as model_ema.")
@click.option(
    "--map",
    type=click.Choice(["name", "order"]),
    default="name",
    show_default=True,
    help="Match tensors by name, or those of other names by their order and shape.",
)
@click.option("--drop", multiple=True, metavar="NAME", help="Leave out tensors of the file; * is a wildcard.")
@labels_option
@num_classes_option
@channels_option
@img_size_option
@mean_option
@std_option
@shorter_side_option
@interpolation_option
@param_option
@click.option("--licence", default="", help="Licence of the weights, for the card.")
@force_option
@json_option
@click.pass_obj
def import_file(
    lazy: "Lazy",
    /,
    file: Path,
    architecture: str,
    labels: Path | None,
    channels: int | None,
    params: tuple[str, ...],
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    shorter_side: int | None,
    interpolation: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Store FILE, a checkpoint or state dict of other software, as a weights file.

    FILE is .pth, .pt, .th, .bin, .tar or .ckpt, as torch.save writes them, or .safetensors. It is read by PyTorch's
    weights-only unpickler in a process with limits on memory and time; a file with code in it is refused.

    Wrappers (state_dict, model, ema, …) and prefixes (module., _orig_mod., model., …) are removed. If the names of
    tensors differ from those of the architecture, the mapping by order and shape is shown, and --map order accepts it.
    """
    announce(LOADING)
    from zoo.api.weights.importing import import_weights
    from zoo.contract.params import split_params
    from zoo.models.importing.convert import UnconfirmedMapping
    from zoo.models.importing.stated import read_labels

    try:
        with progress() as show:
            imported = import_weights(
                file,
                architecture,
                labels=None if labels is None else read_labels(labels),
                in_channels=channels,
                preprocess=preprocess_overrides(mean, std, shorter_side, interpolation),
                params=split_params(params),
                **options,
                callback=show,
                registry=lazy.registry,
            )
    except UnconfirmedMapping as error:
        if as_json:
            print_json({"mapping": _rows(error.match.pairs)})
        else:
            _print_mapping(error.match.pairs)
        raise
    if as_json:
        print_json(
            {
                "name": imported.name,
                "file": str(imported.path),
                "key": imported.key,
                "mapping": _rows(imported.pairs),
                "card": imported.card.to_dict(),
            }
        )
        return
    if any(pair.by_order for pair in imported.pairs):
        _print_mapping(imported.pairs)
    print_line(f"{imported.path}: {len(imported.pairs):,} tensors, {imported.card.card_digest}")


def _rows(pairs: "Sequence[Pair]") -> list[dict[str, Any]]:
    return [
        {"source": pair.source, "target": pair.target, "shape": list(pair.shape), "by_order": pair.by_order}
        for pair in pairs
    ]


def _print_mapping(pairs: "Sequence[Pair]") -> None:
    print_table(
        ["tensor of the file", "tensor of the model", "shape", "matched by"],
        [
            [
                pair.source,
                pair.target,
                " × ".join(map(str, pair.shape)) or "a number",
                "order" if pair.by_order else "name",
            ]
            for pair in pairs
        ],
    )
