"""`zoo verify`: replay the proof of an export folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import json_option
from zoo.cli.output import print_json

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


@click.command("verify", short_help="Replay the proof of an export folder")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "-f", "formats", default="", help="Comma-separated.  [default: all that are there]")
@json_option
@click.pass_obj
def command(lazy: "Lazy", folder: Path, formats: str, as_json: bool) -> None:
    """Check every file of the export FOLDER, and run its artifacts on the golden vectors.

    Exits with 3 where a file was changed or an artifact does not compute what the model computes.
    """
    from zoo_export.commands.export import verdict
    from zoo_export.verify import verify_folder

    verified = verify_folder(lazy.registry, folder, [name.strip() for name in formats.split(",") if name.strip()])
    if as_json:
        print_json(
            {
                "export": str(folder),
                "model": verified.manifest["name"],
                "artifacts": {
                    name: {"passed": True, "probes": [comparison.to_dict() for comparison in found]}
                    for name, found in verified.comparisons.items()
                },
            }
        )
        return
    for name, found in verified.comparisons.items():
        click.echo(f"{folder / verified.manifest['artifacts'][name]}: {verdict(found)}")
