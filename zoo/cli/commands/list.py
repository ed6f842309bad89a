"""`zoo list`: what plugins provide."""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import json_option
from zoo.cli.output import print_json, print_table
from zoo.contract.formats import ExportFormat
from zoo.contract.precisions import Precision
from zoo.contract.specs import Architecture, Command, Dataset, Loss, Spec

if TYPE_CHECKING:
    from zoo.cli.main import Lazy

KINDS: dict[str, type[Spec]] = {
    spec.plural: spec for spec in (Architecture, Loss, Dataset, ExportFormat, Precision, Command)
}


@click.command("list")
@click.argument("kind", type=click.Choice(list(KINDS)), required=False)
@click.option("--filter", "-f", "pattern", default="*", help="Only names that match, such as 'resnet*'.")
@json_option
@click.pass_obj
def command(lazy: "Lazy", kind: str | None, pattern: str, as_json: bool) -> None:
    """List what the installed plugins provide, or only one KIND of it.

    In a pipe, columns are separated by tabs.
    """
    entries_of = {
        name: [entry for entry in lazy.registry.entries(spec) if fnmatchcase(entry.spec.name, pattern)]
        for name, spec in KINDS.items()
        if kind in (None, name)
    }
    if as_json:
        print_json(
            {
                name: [
                    {"name": entry.spec.name, "summary": entry.spec.summary, "plugin": entry.plugin.name}
                    | {"distribution": entry.plugin.distribution}
                    | {key: value(entry.spec) for key, value in EXTRA.get(name, {}).items()}
                    for entry in entries
                ]
                for name, entries in entries_of.items()
            }
        )
        return
    for name, entries in entries_of.items():
        extra = EXTRA.get(name, {})
        if entries:
            print_table(
                [name, *extra, "summary", "plugin"],
                [
                    [
                        entry.spec.name,
                        *(_shown(value(entry.spec)) for value in extra.values()),
                        entry.spec.summary,
                        entry.plugin.name,
                    ]
                    for entry in entries
                ],
            )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(value)
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value or "")


EXTRA: dict[str, dict[str, Callable[[Any], Any]]] = {
    "architectures": {"parameters": lambda spec: spec.parameters, "input": lambda spec: spec.input_shape}
    | {"weights": lambda spec: list(spec.pretrained)},
    "datasets": {"classes": lambda spec: len(spec.classes) or None, "images": lambda spec: spec.input_shape},
    "formats": {
        "suffix": lambda spec: next(iter(spec.suffixes.values())),
        "precisions": lambda spec: list(spec.precisions),
        "default": lambda spec: spec.default,
    },
    "losses": {"target": lambda spec: spec.target},
}
