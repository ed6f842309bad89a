"""`zoo verify`: replay the proof of an export folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import data_root_option, json_option
from zoo.cli.output import print_json
from zoo_export.commands.messages import inconclusive_warning, print_failure, warning
from zoo_export.commands.provider import provider_option
from zoo_export.parity.verdict import PASS

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


@click.command("verify", short_help="Replay the proof of an export folder")
@click.argument("export", type=click.Path(path_type=Path))
@click.option("--format", "-f", "formats", default="", help="Comma-separated.  [default: all that are there]")
@click.option(
    "--strict", is_flag=True, help="Compute truth afresh, from the weights file, and judge by the derived tolerance."
)
@click.option("--against", metavar="MODEL", help="The model that a file is said to be, or the weights for --strict.")
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

    EXPORT may also be a single file, of whatever origin: `zoo verify FILE --against MODEL`. Exits with 3 where a
    file was changed or an artifact does not compute what the model computes.
    """
    from zoo.contract.errors import DifferenceError, UsageError
    from zoo_export.commands.export import noticed, verdict
    from zoo_export.devices import parse_devices
    from zoo_export.verify import verify_folder

    devices = parse_devices(provider)
    if export.is_file():
        from zoo.files import folders
        from zoo_export.against import verify_file

        if against is None or strict or formats:
            raise UsageError(
                f"{export} is a file, not an export folder.",
                "Say --against MODEL; --strict and --format are for folders.",
            )
        try:
            found, seen = verify_file(lazy.registry, export, against, folders.data_root(data_root), devices)
        except DifferenceError as error:
            if as_json:
                print_failure(error)
            raise
        if as_json:
            probes = [comparison.to_dict() for comparison in found]
            told = {"file": str(export), "model": against, "verdict": PASS, "passed": True, "share": seen.share}
            print_json({**told, "probes": probes})
        else:
            click.echo(f"{export}: {verdict(found)}\n{noticed({'own weights': seen.share, 'share': seen.share})}")
        return
    if against is not None and not strict:
        raise UsageError("--against goes with --strict or with a single file.", "Say --strict too.")
    names = [name.strip() for name in formats.split(",") if name.strip()]
    try:
        verified = verify_folder(lazy.registry, export, names, strict=strict, against=against, devices=devices)
    except DifferenceError as error:
        if as_json:
            print_failure(error)
        raise
    manifest, warned, inconclusive = verified.manifest, "", ""
    if verified.verdict != PASS:
        warned = warning(verified.verdict, manifest["certificate"]["override"])
        inconclusive = inconclusive_warning(manifest)
    for text in (warned, inconclusive):
        if text:
            click.echo(f"warning: {text}", err=True)
    if as_json:
        print_json(
            {
                "export": str(export),
                "model": verified.manifest["name"],
                "strict": strict,
                "verdict": verified.verdict,
                "warnings": [text for text in (warned, inconclusive) if text],
                "artifacts": {
                    name: {
                        "verdict": verified.verdict,
                        "passed": verified.verdict == PASS,
                        "probes": [comparison.to_dict() for comparison in found],
                    }
                    for name, found in verified.comparisons.items()
                },
            }
        )
        return
    for name, found in verified.comparisons.items():
        click.echo(f"{export / verified.manifest['artifacts'][name]}: {verdict(found, verified.verdict)}")
    if strict:
        click.echo("Truth was computed afresh from the weights file.")
