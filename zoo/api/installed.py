"""The registry of this process, for callers that pass none."""

import warnings
from functools import cache

from zoo.contract.printable import plain
from zoo.registry.discovery import discover
from zoo.registry.problems import problems
from zoo.registry.registry import Registry


@cache
def installed_registry() -> Registry:
    """What the installed plugins provide, discovered once. A broken plugin is left out with a Python warning."""
    registry = Registry(discover())
    for text in problems(registry):
        warnings.warn(f"zoo: {plain(text)}", stacklevel=3)
    return registry
