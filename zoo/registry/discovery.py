"""Find plugins by the entry-point group `zoo`, and keep a broken one from taking the rest down.

Importing a plugin runs its module. One that the user's list of plugins does not allow is listed and not imported.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pluggy

from zoo.contract import hooks
from zoo.contract.errors import refuse_out_of_memory, shows_tracebacks
from zoo.contract.specs import Spec
from zoo.registry.preferences import allow_list

if TYPE_CHECKING:
    from zoo.registry.allow_list import AllowList

GROUP = "zoo"


@dataclass(frozen=True)
class Plugin:
    """One entry point.

    Args:
        name: of the entry point.
        distribution, version: of the package that declares it; `unknown` if its metadata is missing.
        specs: what it provides; empty if `error` is set or it is not allowed: it is left out as a whole.
        error: why it could not be loaded.
        module: what its entry point names, and what is imported.
        allowed: whether the user's list of plugins allows it. If not, its module is not imported.
    """

    name: str
    distribution: str
    version: str
    specs: tuple[Spec, ...] = ()
    error: str = ""
    module: str = ""
    allowed: bool = True


def discover(points: Iterable[EntryPoint] | None = None) -> list[Plugin]:
    """Load every plugin that the user allows, sorted by distribution and name.

    Args:
        points: the entry points to load; those of the group `zoo` that are installed, by default.

    Returns:
        One `Plugin` for each entry point, those that are broken or not allowed included. With `ZOO_RAISE_ERRORS=1` in
        the environment a broken plugin raises its own error instead.

    Raises:
        UsageError: the user's list of plugins is malformed. Nothing was imported.
    """
    allowed = allow_list()
    points = list(entry_points(group=GROUP) if points is None else points)
    owners: dict[int, tuple[str, str]] = {}  # by distribution: each look into its metadata parses the file again
    for point in points:
        if id(point.dist) not in owners:
            owners[id(point.dist)] = _distribution(point)
    unique = {(*owners[id(point.dist)], point.name, point.value): point for point in points}
    return [_load(unique[key], key[0], key[1], allowed) for key in sorted(unique)]


def location(plugin: Plugin) -> str:
    """The file of a plugin's module; of its top-level package if the module was not imported; empty if unknown."""
    module = plugin.module.partition(":")[0]
    if module in sys.modules:
        return getattr(sys.modules[module], "__file__", None) or ""
    try:
        spec = find_spec(module.partition(".")[0])  # imports nothing, as it has no dots
    except (ImportError, ValueError):
        return ""
    return (spec.origin if spec is not None and spec.has_location else "") or ""


def _load(point: EntryPoint, distribution: str, version: str, allowed: "AllowList | None") -> Plugin:
    if allowed is not None and not allowed.allows(distribution, point.name):
        return Plugin(point.name, distribution, version, module=point.value, allowed=False)
    try:
        specs = specs_of(point.load(), point.name)
    except (Exception, SystemExit) as error:
        refuse_out_of_memory(error)
        if shows_tracebacks():
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Plugin(point.name, distribution, version, error=text, module=point.value)
    return Plugin(point.name, distribution, version, specs, module=point.value)


def _distribution(point: EntryPoint) -> tuple[str, str]:
    try:
        name, version = (point.dist.name, point.dist.version) if point.dist else (None, None)
    except Exception:  # a broken installation: its metadata is missing
        name, version = None, None
    return name or "unknown", version or "unknown"


def specs_of(module: object, name: str) -> tuple[Spec, ...]:
    """What a plugin's module declares.

    Raises:
        Exception: of any kind, if the module breaks the contract or its hook raises.
    """
    manager = pluggy.PluginManager(hooks.PROJECT)  # one for each, so that check_pending is about this plugin alone
    manager.add_hookspecs(hooks)
    manager.register(module, name)
    manager.check_pending()
    if not manager.hook.zoo_specs.get_hookimpls():
        raise TypeError("it implements no zoo_specs() marked with @hookimpl")
    results = manager.hook.zoo_specs()
    if not results:
        raise TypeError("zoo_specs() returned None; it must yield specs or return a list of them")
    specs = tuple(spec for result in results for spec in result)
    seen: set[tuple[str, str]] = set()
    for spec in specs:
        if not isinstance(spec, Spec) or type(spec) is Spec:
            raise TypeError(f"zoo_specs() yielded {spec!r:.80}, which is not a spec")
        if (spec.kind, spec.name) in seen:
            raise ValueError(f"zoo_specs() yielded the {spec.kind} {spec.name} twice")
        seen.add((spec.kind, spec.name))
    return specs
