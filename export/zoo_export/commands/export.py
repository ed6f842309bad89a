"""`zoo export`: a model to files that are proven to compute what it computes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import (
    channels_option,
    data_root_option,
    force_option,
    fresh,
    image_size_option,
    json_option,
    num_classes_option,
    param_option,
)
from zoo.cli.output import print_json
from zoo.cli.progress import Progress, progress
from zoo.contract.callback import Callback
from zoo_export.commands.messages import inconclusive_warning, print_failure, warning
from zoo_export.commands.provider import provider_option
from zoo_export.parity.verdict import OVERRIDDEN, PASS, UNVERIFIED

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo_export.parity.judge import Comparison


class Lines(Callback):
    """Shows each stage as a line."""

    def __init__(self, show: Progress) -> None:
        self.show = show

    def on_message(self, text: str, *, warning: bool = False) -> None:
        """Show the line, indented."""
        self.show.line(f"  {text}")


@click.command("export", short_help="Export a model and prove it")
@click.argument("model")
@click.option(
    "--format",
    "-f",
    "formats",
    default="",
    help="Comma-separated; see `zoo list formats`.  [default: those marked so there]",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Folder to make.  [default: exports/MODEL]",
)
@click.option(
    "--atol", type=float, metavar="A", help="Judge each logit by A + R · |truth|, not by the derived tolerance."
)
@click.option("--rtol", type=float, metavar="R", help="See --atol; what is not said is 0.")
@click.option("--no-verify", is_flag=True, help="Run and compare nothing. The export is then marked unverified.")
@click.option(
    "--save-failure",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where an artifact fails its check, write DIR, which shows it again.",
)
@num_classes_option
@channels_option
@image_size_option
@param_option
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    help="Of weights and arithmetic, such as fp16; see `zoo list precisions`. Images and logits stay float32.",
)
@click.option("--dynamic-size", is_flag=True, help="Height and width of images are dynamic too.")
@provider_option
@data_root_option
@force_option
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    model: str,
    formats: str,
    output: Path | None,
    atol: float | None,
    rtol: float | None,
    no_verify: bool,
    save_failure: Path | None,
    num_classes: int | None,
    channels: int | None,
    image_size: int | None,
    params: tuple[str, ...],
    precision: str,
    dynamic_size: bool,
    provider: str,
    data_root: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Export MODEL: an ARCH.TAG, a path to a weights file, or an architecture with fresh weights.

    Before the folder is published, every artifact is loaded afresh and run on images that were not traced. If one
    does not compute what the model computes, within rounding, nothing is published and the exit code is 3.

    --atol and --rtol replace that judgement, and --no-verify leaves it out; the export then says so for good.
    """
    from zoo.contract.errors import DifferenceError, UsageError
    from zoo.contract.formats import ExportFormat
    from zoo.contract.names import bare_name
    from zoo.contract.precisions import Precision
    from zoo.files.atomic import refuse_existing
    from zoo.files.folders import SUFFIX, is_weights
    from zoo.files.folders import data_root as root
    from zoo.models.load import open_model
    from zoo_export.artifacts import default_formats
    from zoo_export.devices import check_devices, parse_devices
    from zoo_export.parity.override import Override

    names = list(dict.fromkeys(name.strip() for name in formats.split(",") if name.strip()))
    names = names or default_formats(lazy.registry)
    if (formats and formats.strip(" ,") == "") or not names:
        raise UsageError("--format names no format.", "See `zoo list formats`.")
    entries = [lazy.registry.find(ExportFormat, name) for name in names]
    lazy.registry.find(Precision, precision)
    bare = Path(model).name.removesuffix(SUFFIX) if is_weights(model) else bare_name(model)
    devices = parse_devices(provider)
    check_devices(entries, devices)
    if no_verify and (atol is not None or rtol is not None or save_failure is not None or devices != ("cpu",)):
        raise UsageError(
            "--no-verify compares nothing, so that --atol, --rtol, --save-failure and --provider mean nothing.",
            "Leave out either --no-verify or these.",
        )
    target = output or Path("exports") / bare
    refuse_existing(target, force)
    override = None if atol is None and rtol is None else Override(atol or 0.0, rtol or 0.0)
    opened = open_model(lazy.registry, model, fresh(num_classes, channels, image_size, params))

    from zoo_export.options import ExportOptions
    from zoo_export.pipeline import export_model
    from zoo_export.precisions.in_use import find_precision
    from zoo_export.probes.sizes import smallest_size

    terms = ExportOptions(
        verify=not no_verify,
        override=override,
        save=save_failure,
        force=force,
        devices=devices,
        precision=precision,
        smallest=smallest_size(lazy.registry, opened) if dynamic_size else None,
    )
    with progress() as show:
        if opened.path is None:
            show.line(f"{opened.name} has fresh weights of seed 0: it has learned nothing.")
        warned = warning(
            PASS if terms.verify else UNVERIFIED, None if terms.override is None else terms.override.to_dict()
        )
        if warned:
            show.line(f"warning: {warned}")
        try:
            exported = export_model(
                lazy.registry,
                opened,
                entries,
                target,
                root(data_root),
                force=force,
                options=terms,
                callback=Lines(show),
            )
        except DifferenceError as error:
            if as_json:
                print_failure(error)
            raise
        if inconclusive := inconclusive_warning(exported.manifest):
            show.line(f"warning: {inconclusive}")
    judged = exported.manifest["verdict"]
    certificate = exported.manifest["certificate"]
    if as_json:
        print_json(
            {
                "export": str(exported.path),
                "model": opened.name,
                "fresh": opened.path is None,
                "verdict": judged,
                "precision": exported.manifest["precision"],
                "override": certificate["override"],
                "coverage": certificate["coverage"],
                "warnings": [text for text in (warned, inconclusive) if text],
                "artifacts": {
                    name: {
                        "file": str(exported.path / exported.manifest["artifacts"][name]),
                        "verdict": judged,
                        "passed": judged == PASS,
                        "probes": [comparison.to_dict() for comparison in found],
                    }
                    for name, found in exported.comparisons.items()
                },
            }
        )
        return
    for name, found in exported.comparisons.items():
        click.echo(f"{exported.path / exported.manifest['artifacts'][name]}: {verdict(found, judged)}")
    statement = find_precision(lazy.registry, precision).rules.statement
    if statement and "float32" in certificate:
        click.echo(statement)
    if certificate["coverage"] is not None:
        click.echo(noticed(certificate["coverage"]))
    for text in (warned, inconclusive):
        if text:
            click.echo(f"warning: {text}")


def noticed(told: dict[str, Any]) -> str:
    """How much the check would have noticed."""
    own, every = told["own weights"], told["share"]
    if "probe weights" not in told:
        return f"A 1 % change of {100 * own:.0f} % of the parameters would have been noticed."
    if own == every:
        return (
            f"A 1 % change of {100 * own:.0f} % of the parameters would have been noticed, and of more of their digits "
            "with probe weights in the same graphs."
        )
    return (
        f"A 1 % change of {100 * every:.0f} % of the parameters would have been noticed: of {100 * own:.0f} % with "
        "these weights, of the rest with probe weights in the same graphs."
    )


def verdict(found: "list[Comparison]", judged: str = PASS) -> str:
    """One line for a person, of comparisons that are not refused."""
    if judged == UNVERIFIED or not found:
        return f"{UNVERIFIED}: nothing was run or compared"
    ratio = max(comparison.ratio for comparison in found)
    rounding_errors = f"{ratio:.1f}× PyTorch's own rounding error at worst"
    if judged == OVERRIDDEN:
        return f"{OVERRIDDEN}: within the tolerances named in place of zoo's tolerance ({rounding_errors}, {len(found)} comparisons)"
    worst = max(found, key=lambda comparison: comparison.ratio)
    allowed = f"{worst.tolerance / worst.rounding_error:.0f}× allowed; " if worst.rounding_error else ""
    return f"computes what the model computes ({rounding_errors}, {allowed}{len(found)} comparisons)"
