"""What a user should know of the plugins and of their configuration before a command starts, one line each."""

from typing import TYPE_CHECKING

from zoo.contract.names import close_names
from zoo.contract.specs import Spec
from zoo.registry.preferences import PREFER, allow_list, config_file
from zoo.registry.registry import Entry, Registry

if TYPE_CHECKING:
    from zoo.registry.allow_list import AllowList


def problems(registry: Registry) -> list[str]:
    """Broken plugins, names of zoo's own that others take, and names in the user's configuration that no plugin has.

    Raises:
        UsageError: the configuration is malformed.
    """
    broken = [
        f"ignoring the plugin {plugin.name} of {plugin.distribution}: {plugin.error}"
        for plugin in registry.plugins
        if plugin.error
    ]
    allowed = allow_list()
    preferred = [
        f"{PREFER} or `prefer` in {config_file()} names {name}, which no plugin provides."
        for name in registry.unmatched_preferences()
    ]
    return [*broken, *_shadowed(registry), *([] if allowed is None else _not_installed(registry, allowed)), *preferred]


def _shadowed(registry: Registry) -> list[str]:
    """One line for each plugin that provides names of zoo's own."""
    by_plugin: dict[str, list[Entry[Spec]]] = {}
    for entry in registry.shadowed():
        by_plugin.setdefault(f"{entry.plugin.name} of {entry.plugin.distribution}", []).append(entry)
    return [
        f"the plugin {plugin} also provides {', '.join(f'the {each.spec.kind} {each.spec.name}' for each in entries)}: "
        f"the name alone means zoo's own; use {' or '.join(map(registry.short_name, entries))} for the plugin's."
        for plugin, entries in by_plugin.items()
    ]


def _not_installed(registry: Registry, allowed: "AllowList") -> list[str]:
    installed = [(plugin.distribution, plugin.name) for plugin in registry.plugins]
    names = {distribution for distribution, _ in installed} | {"/".join(pair) for pair in installed}
    texts = []
    for name in allowed.unmatched(installed):
        close = close_names(name, sorted(names), n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        texts.append(f"{allowed.source} allows {name}, which no installed plugin has as its name.{hint}")
    return texts
