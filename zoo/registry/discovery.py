"""Find plugins by the entry-point group `zoo`, and keep a broken one from taking the rest down."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import pluggy

from zoo.contract import hooks
from zoo.contract.errors import refuse_out_of_memory
from zoo.contract.specs import Spec

GROUP = "zoo"


@dataclass(frozen=True)
class Plugin:
    """One entry point, loaded.

    `specs` is empty if `error` is set: a plugin that fails is left out as a whole.
    """

    name: str
    distribution: str
    version: str
    specs: tuple[Spec, ...] = ()
    error: str = ""


def discover(points: Iterable[EntryPoint] | None = None) -> list[Plugin]:
    """Load every plugin, sorted by distribution and name.

    Args:
        points: the entry points to load; those of the group `zoo` that are installed, by default.

    Returns:
        One `Plugin` for each entry point, broken ones included. With `ZOO_RAISE_ERRORS=1` in the environment a
        broken plugin raises its own error instead.
    """
    points = entry_points(group=GROUP) if points is None else points
    unique = {(*_distribution(point), point.name, point.value): point for point in points}
    return [_load(unique[key]) for key in sorted(unique)]


def _load(point: EntryPoint) -> Plugin:
    distribution, version = _distribution(point)
    try:
        specs = specs_of(point.load(), point.name)
    except (Exception, SystemExit) as error:
        refuse_out_of_memory(error)
        if os.environ.get("ZOO_RAISE_ERRORS") == "1":
            raise
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Plugin(point.name, distribution, version, error=text)
    return Plugin(point.name, distribution, version, specs)


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
