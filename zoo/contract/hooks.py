"""The hook that every plugin implements."""

from collections.abc import Iterable

import pluggy

from zoo.contract.specs import Spec

PROJECT = "zoo"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def zoo_specs() -> Iterable[Spec]:  # type: ignore[empty-body]
    """Return the specs of what this plugin provides.

    It must return the same specs in every call, and must not import torch or numpy.
    """
