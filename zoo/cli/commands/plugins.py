"""`zoo plugins`: the installed plugins, where they lie, and why those that were not loaded were not."""

from collections import Counter
from typing import TYPE_CHECKING

import click

from zoo.cli.options import json_option
from zoo.cli.output import print_json, print_line, print_table
from zoo.contract.specs import Architecture

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.contract.specs import Spec
    from zoo.registry.discovery import Plugin
    from zoo.registry.registry import Registry


IMPORTED = (
    "Every command imports the modules of these plugins: their code runs with your permissions. "
    "ZOO_PLUGINS, or the list `plugins` in {file}, says which ones may be imported."
)


@click.command("plugins")
@json_option
@click.pass_obj
def command(lazy: "Lazy", as_json: bool) -> None:
    """List plugins: where each lies, what it provides, or why it was not loaded.

    Every command imports every plugin that is allowed. By default, all that are installed are allowed. To allow some
    only, list their distributions in the environment variable ZOO_PLUGINS, separated by commas, or in the list
    `plugins` of zoo's config.toml: zoo-tiny for all plugins of a distribution, zoo-server/serve for one. The others
    are not imported. zoo's own plugins are always allowed; an empty list allows no others.

    Names that several plugins provide are listed, too. The name alone means zoo's own, where zoo provides it. To choose
    between them, qualify the name (zoo-kit:resnet18), or put the qualified name into the environment variable
    ZOO_PREFER or into the list `prefer` of zoo's config.toml.
    """
    from zoo.registry.discovery import location
    from zoo.registry.preferences import allow_list, config_file

    registry, allowed = lazy.registry, allow_list()
    rows = [
        {
            "plugin": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "provides": {spec.kind: count for spec, count in _counts(registry, plugin).items()},
            "error": plugin.error,
            "allowed": plugin.allowed,
            "module": plugin.module,
            "file": location(plugin),
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
        listed = None if allowed is None else {"source": allowed.source, "plugins": list(allowed.names)}
        print_json({"plugins": rows, "conflicts": conflicts, "allow_list": listed})
        return
    print_table(
        ["plugin", "distribution", "version", "provides", "module", "file"],
        [
            [
                plugin.name,
                plugin.distribution,
                plugin.version,
                _provides(registry, plugin),
                plugin.module,
                location(plugin),
            ]
            for plugin in registry.plugins
        ],
    )
    for entries in registry.conflicts():
        names = " and ".join(registry.short_name(entry) for entry in entries)
        print_line(f"several plugins provide the {entries[0].spec.kind} {entries[0].spec.name}: {names}")
    print_line(IMPORTED.format(file=config_file()), err=True)


def _provides(registry: "Registry", plugin: "Plugin") -> str:
    if not plugin.allowed:
        return "not allowed: not imported"
    if plugin.error:
        return f"not loaded: {plugin.error}"
    counts = _counts(registry, plugin)
    return ", ".join(f"{n} {spec.kind if n == 1 else spec.plural}" for spec, n in counts.items())


def _counts(registry: "Registry", plugin: "Plugin") -> "Counter[type[Spec]]":
    """How many things of each kind a plugin provides, the architectures of its collections included."""
    counts = Counter(type(spec) for spec in plugin.specs)
    members = sum(count for entry, count in registry.collections() if entry.plugin is plugin)
    return counts + Counter({Architecture: members})
