"""`zoo export`: write a model in exchange formats, and check that the artifacts compute what it computes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import (
    build_args,
    channels_option,
    data_root_option,
    force_option,
    image_size_option,
    json_option,
    num_classes_option,
    param_option,
)
from zoo.cli.output import print_json
from zoo.cli.progress import Progress, progress
from zoo.contract.callback import Callback
from zoo.contract.evidence import PASS, UNVERIFIED
from zoo_export.commands.messages import coverage_line, print_failure, result_line, warning, warnings_of
from zoo_export.commands.provider import provider_option

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


class Lines(Callback):
    """Shows each stage as a line."""

    def __init__(self, show: Progress) -> None:
        self.show = show

    def on_message(self, text: str, *, warning: bool = False) -> None:
        """Show the line, indented."""
        self.show.line(f"  {text}")


@click.command("export", short_help="Export a model and check the artifacts")
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
@click.option("--no-verify", is_flag=True, help="Do not check the artifacts; mark the export unverified.")
@click.option(
    "--save-failure",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="If an artifact fails its check, write a folder DIR that reproduces the failure.",
)
@num_classes_option
@channels_option
@image_size_option
@param_option
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    help="Precision of the artifacts, such as fp16; see `zoo list precisions`. Images and logits stay float32.",
)
@click.option("--dynamic-size", is_flag=True, help="Make the height and width of images dynamic, too.")
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

    Every artifact is loaded again, run on images that it was not traced with, and compared with the model in float64.
    If one differs by more than rounding explains, nothing is written and the exit code is 3.

    --atol and --rtol replace the default tolerance, and --no-verify skips the check; the export stays marked so.
    """
    from zoo.contract.errors import DifferenceError, UsageError
    from zoo.contract.evidence import Override
    from zoo.contract.formats import ExportFormat
    from zoo.contract.names import bare_name
    from zoo.contract.precisions import Precision
    from zoo.files.atomic import refuse_existing
    from zoo.files.folders import SUFFIX, is_weights
    from zoo.files.folders import data_root as root
    from zoo.models.load import open_model
    from zoo_export.artifacts import default_formats
    from zoo_export.devices import check_devices, parse_devices

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
            "--no-verify excludes --atol, --rtol, --save-failure and --provider.",
            "Leave out --no-verify, or leave out the others.",
        )
    target = output or Path("exports") / bare
    refuse_existing(target, force)
    override = None if atol is None and rtol is None else Override(atol or 0.0, rtol or 0.0)
    opened = open_model(lazy.registry, model, build_args(num_classes, channels, image_size, params))

    from zoo_export.options import ExportOptions
    from zoo_export.pipeline import export_model
    from zoo_export.precisions.in_use import find_precision
    from zoo_export.probes.sizes import smallest_size

    options = ExportOptions(
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
        if text := warning(UNVERIFIED if no_verify else PASS, override):
            show.line(f"warning: {text}")
        try:
            exported = export_model(
                lazy.registry,
                opened,
                entries,
                target,
                root(data_root),
                force=force,
                options=options,
                callback=Lines(show),
            )
        except DifferenceError as error:
            if as_json:
                print_failure(error)
            raise
        warnings = warnings_of(exported.manifest)
        for text in warnings[1:]:  # the first was shown before the work began
            show.line(f"warning: {text}")
    if as_json:
        print_json({**exported.to_dict(), "fresh": opened.path is None, "warnings": warnings})
        return
    rules = find_precision(lazy.registry, precision).rules
    for name, path in exported.artifacts.items():
        click.echo(f"{path}: {result_line(exported.comparisons[name], exported.verdict, rules)}")
    if rules.statement and exported.certificate.prior_check is not None:
        click.echo(rules.statement)
    if exported.certificate.coverage is not None:
        click.echo(coverage_line(exported.certificate.coverage))
    for text in warnings:
        click.echo(f"warning: {text}")
