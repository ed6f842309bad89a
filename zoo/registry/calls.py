"""The Python function behind a command, which a plugin declares as its `call`."""

from typing import Any

from zoo.contract.errors import PluginError
from zoo.contract.specs import Command
from zoo.registry.refs import resolve
from zoo.registry.registry import Registry


def call_of(registry: Registry, command: str) -> Any:
    """The Python function of a command.

    Raises:
        UnknownName: no plugin provides the command.
        MissingPackage: it needs a package that is not installed.
        PluginError: it declares no function.
    """
    entry = registry.find(Command, command)
    if not entry.spec.call:
        raise PluginError(
            f"The command {command} of {entry.plugin.distribution} has no Python function.",
            f"Use `zoo {command}`, or another plugin.",
        )
    return resolve(entry, entry.spec.call)
