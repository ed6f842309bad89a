"""The registry of this process, for callers that pass none."""

import warnings
from functools import cache
from typing import Any

from zoo.contract.errors import UsageError
from zoo.contract.printable import plain
from zoo.registry.discovery import discover
from zoo.registry.problems import problems
from zoo.registry.registry import Registry


@cache
def installed_registry() -> Registry:
    """What the installed plugins provide, discovered once. A broken plugin is left out with a Python warning."""
    registry = Registry(discover())
    for text in problems(registry):
        warnings.warn(f"zoo: {plain(text)}", stacklevel=4)
    return registry


def registry_of(registry: Any) -> Registry:
    """The registry that an argument of the API stands for; `None` is the one of the installed plugins.

    Raises:
        UsageError: it is of another type.
    """
    if registry is None:
        return installed_registry()
    if not isinstance(registry, Registry):
        raise UsageError(
            f"registry is an object of type {type(registry).__name__}, not a zoo.Registry.",
            "Leave registry out, or pass zoo.Registry(plugins).",
        )
    return registry
