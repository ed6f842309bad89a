"""`zoo verify`: repeat the check of an export folder, or check a file of any origin."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import data_root_option, json_option
from zoo.cli.output import print_json
from zoo_export.commands.messages import coverage_line, print_failure, result_line, warnings_of
from zoo_export.commands.provider import provider_option

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.contract.evidence import Verification


@click.command("verify", short_help="Check an export folder, or a file against a model")
@click.argument("export", type=click.Path(path_type=Path))
@click.option("--format", "-f", "formats", default="", help="Formats to run, comma-separated.  [default: all]")
@click.option(
    "--strict",
    is_flag=True,
    help="Compute truth again from the weights; use the default tolerance and ignore --atol/--rtol from export time.",
)
@click.option("--against", metavar="MODEL", help="Model to compare a file with; with --strict, the weights to use.")
@provider_option
@data_root_option
@json_option
@click.pass_obj
def command(
    lazy: "Lazy",
    export: Path,
    formats: str,
    strict: bool,
    against: str | None,
    provider: str,
    data_root: Path | None,
    as_json: bool,
) -> None:
    """Check every file of the folder EXPORT, and run its artifacts on the golden vectors.

    EXPORT may also be a single file of any origin: `zoo verify FILE --against MODEL`. The exit code is 3 if a
    file was changed or an artifact does not compute what the model computes.
    """
    from zoo.contract.errors import DifferenceError, UsageError
    from zoo_export.devices import parse_devices
    from zoo_export.precisions.in_use import find_precision

    devices = parse_devices(provider)
    is_file = export.is_file()
    if is_file and (against is None or strict or formats):
        raise UsageError(
            f"{export} is a file, not an export folder.", "Use --against MODEL; --strict and --format are for folders."
        )
    if not is_file and against is not None and not strict:
        raise UsageError("--against requires --strict or a single file.", "Add --strict.")
    names = [name.strip() for name in formats.split(",") if name.strip()]
    try:
        verification = _verify(lazy, export, names, strict, against, devices, data_root)
    except DifferenceError as error:
        if as_json:
            print_failure(error)
        raise
    manifest = verification.manifest
    warnings = [] if manifest is None or strict else warnings_of(manifest)
    for text in warnings:
        click.echo(f"warning: {text}", err=True)
    if as_json:
        print_json({**verification.to_dict(), "warnings": warnings})
        return
    rules = find_precision(lazy.registry, "fp32" if manifest is None else manifest.precision).rules
    for name, path in verification.artifacts.items():
        click.echo(f"{path}: {result_line(verification.comparisons[name], verification.verdict, rules)}")
    if verification.coverage is not None:
        click.echo(coverage_line(verification.coverage))
    if strict:
        click.echo("Truth was computed again from the weights.")


def _verify(
    lazy: "Lazy",
    export: Path,
    names: list[str],
    strict: bool,
    against: str | None,
    devices: tuple[str, ...],
    data_root: Path | None,
) -> "Verification":
    if export.is_file() and against is not None:
        from zoo.files import folders
        from zoo_export.against import verify_file

        return verify_file(lazy.registry, export, against, folders.data_root(data_root), devices)
    from zoo_export.verify import verify_folder

    return verify_folder(lazy.registry, export, names, strict=strict, against=against, devices=devices)
