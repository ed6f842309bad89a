"""Turn a ref, `"package.module:attribute"`, into the object it names."""

from functools import reduce
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from zoo.contract.errors import MissingPackage, PluginError, refuse_out_of_memory, shows_tracebacks
from zoo.contract.names import close_names
from zoo.contract.specs import Spec

if TYPE_CHECKING:
    from zoo.registry.registry import Entry


def resolve(entry: "Entry[Spec] | Entry[Any]", ref: str) -> Any:
    """Import what `ref`, a field of `entry.spec`, points at.

    Raises:
        MissingPackage: the module needs a package that is not installed.
        PluginError: the module or attribute is not there, or importing it raised.
    """
    who = f"The {entry.spec.kind} {entry.spec.name} of {entry.plugin.distribution}"
    where, _, attribute = ref.partition(":")
    module = _import(where, who)
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError:
        close = close_names(attribute, dir(module), n=1)
        raise PluginError(
            f"{who} refers to {ref}, but {where} has no {attribute}.",
            f"Did its author mean {where}:{close[0]}?" if close else "Report it to the author of that plugin.",
        ) from None


def _import(name: str, who: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if missing == name or name.startswith(f"{missing}."):
            raise PluginError(
                f"{who} refers to the module {name}, which does not exist.",
                f"Install the plugin again, or correct the ref {name!r} in its spec.",
            ) from None
        if missing.partition(".")[0] == name.partition(".")[0]:
            raise PluginError(
                f"{who} could not be imported: its module {missing} does not exist.",
                "Install the plugin again, or report it to its author.",
            ) from None
        raise MissingPackage(
            f"{who} needs {missing}, which is not installed.", f"Run: pip install {missing.partition('.')[0]}"
        ) from None
    except (Exception, SystemExit) as error:
        refuse_out_of_memory(error)
        if shows_tracebacks():
            raise
        from zoo.contract.wording.author_code import SHOW_TRACEBACK, describe_error  # not needed without an error

        raise PluginError(
            f"{who} could not be imported: {describe_error(error)}",
            f"Report it to the author of that plugin; {SHOW_TRACEBACK}",
        ) from error
