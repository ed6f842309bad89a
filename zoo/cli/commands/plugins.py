"""`zoo plugins`: the installed plugins, and the errors of those that could not be loaded."""

from collections import Counter
from typing import TYPE_CHECKING

import click

from zoo.cli.options import json_option
from zoo.cli.output import print_json, print_line, print_table

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


@click.command("plugins")
@json_option
@click.pass_obj
def command(lazy: "Lazy", as_json: bool) -> None:
    """List plugins, what each provides, why one could not be loaded, and names that several provide.

    To choose between plugins that provide the same name, qualify it (zoo-kit:resnet18), or put the qualified name
    into the environment variable ZOO_PREFER or into the list `prefer` of zoo's config.toml.
    """
    registry = lazy.registry
    rows = [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "provides": dict(Counter(spec.kind for spec in plugin.specs)),
            "error": plugin.error,
        }
        for plugin in registry.plugins
    ]
    conflicts = [
        {
            "kind": entries[0].spec.kind,
            "name": entries[0].spec.name,
            "claimed_by": [registry.short_name(entry) for entry in entries],
        }
        for entries in registry.conflicts()
    ]
    if as_json:
        print_json({"plugins": rows, "conflicts": conflicts})
        return
    print_table(
        ["plugin", "distribution", "version", "provides"],
        [
            [
                plugin.name,
                plugin.distribution,
                plugin.version,
                f"not loaded: {plugin.error}"
                if plugin.error
                else ", ".join(
                    f"{n} {spec.kind if n == 1 else spec.plural}"
                    for spec, n in Counter(type(spec) for spec in plugin.specs).items()
                ),
            ]
            for plugin in registry.plugins
        ],
    )
    for entries in registry.conflicts():
        names = " and ".join(registry.short_name(entry) for entry in entries)
        print_line(f"several plugins provide the {entries[0].spec.kind} {entries[0].spec.name}: {names}")
