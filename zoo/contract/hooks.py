"""The one hook. A plugin implements it; nothing else is asked of a plugin."""

from collections.abc import Iterable

import pluggy

from zoo.contract.specs import Spec

PROJECT = "zoo"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def zoo_specs() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Declare what this plugin provides. Pure and cheap: imports neither torch nor numpy."""
