"""What a user should know of the plugins and of their configuration before a command starts, one line each."""

from typing import TYPE_CHECKING

from zoo.contract.names import close_names
from zoo.registry.preferences import PREFER, allow_list, config_file
from zoo.registry.registry import Registry

if TYPE_CHECKING:
    from zoo.registry.allow_list import AllowList


def problems(registry: Registry) -> list[str]:
    """Broken plugins, and names in the user's configuration that no plugin has.

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
    return [*broken, *([] if allowed is None else _not_installed(registry, allowed)), *preferred]


def _not_installed(registry: Registry, allowed: "AllowList") -> list[str]:
    installed = [(plugin.distribution, plugin.name) for plugin in registry.plugins]
    names = {distribution for distribution, _ in installed} | {"/".join(pair) for pair in installed}
    texts = []
    for name in allowed.unmatched(installed):
        close = close_names(name, sorted(names), n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        texts.append(f"{allowed.source} allows {name}, which no installed plugin has as its name.{hint}")
    return texts
