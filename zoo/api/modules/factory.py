"""A model from `package.module:factory` or `path/to/file.py:factory`, for modules that no plugin declares."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import reduce
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from zoo.contract.errors import ExportError, UnknownName, UsageError, ZooError, refuse_out_of_memory, shows_tracebacks
from zoo.contract.names import close_names
from zoo.contract.preprocess import Preprocess
from zoo.contract.wording.author_code import SHOW_TRACEBACK, describe_error
from zoo.files.regular import is_regular
from zoo.models.load import Model
from zoo.registry.model_kind import FACTORY, ModelKind, model_kind
from zoo.registry.registry import Registry

RETURN = "Return an nn.Module; (module, {'input_shape': …, 'labels': …, 'preprocess': …}); or a zoo.Model."


@dataclass(frozen=True, kw_only=True)
class Described:
    """A module and what is known of it; see `zoo.export` for the fields.

    Args:
        module: what the factory returned, or the caller's own; a text that names no factory stays as it is.
    """

    module: Any
    input_shape: tuple[int, int, int] | None = None
    labels: Sequence[str] | None = None
    preprocess: Preprocess | None = None
    name: str | None = None


def described(registry: Registry, model: Any, **stated: Any) -> Described:
    """`model`, or what the factory that it names returns.

    Args:
        stated: the other fields of `Described`; those that are not `None` count for more than the factory's.

    Raises:
        UnknownName: there is no such module, or nothing of that name in it.
        ExportError: importing or calling it raised, or it returned something else.
    """
    if not isinstance(model, str) or model_kind(registry, model) is not ModelKind.FACTORY:
        return Described(module=model, **stated)
    made = _called(model)
    module, own = made if isinstance(made, tuple) and len(made) == 2 else (made, {})
    allowed = [field.name for field in fields(Described) if field.name != "module"]
    if not isinstance(module, nn.Module | Model) or not isinstance(own, Mapping):
        kind = "a tuple" if isinstance(made, tuple) else f"a {type(made).__name__}"
        raise ExportError(f"{model} returned {kind}, not a module.", RETURN)
    if unknown := [str(key) for key in own if key not in allowed]:
        raise ExportError(f"{model} describes its module with {unknown[0]!r}.", f"Use {', '.join(allowed)}.")
    return Described(module=module, **{**own, **{key: value for key, value in stated.items() if value is not None}})


def _called(name: str) -> object:
    match = FACTORY.fullmatch(name)
    assert match is not None
    where, attribute = match["where"], match["attribute"]
    with _importable(*([Path(where).absolute().parent] if where.endswith(".py") else []), Path.cwd()):
        module = _imported(where)
        try:
            factory = reduce(getattr, attribute.split("."), module)
        except AttributeError:
            close = close_names(attribute, dir(module), n=1)
            raise UnknownName(
                f"{where} has no {attribute}.",
                f"Did you mean {where}:{close[0]}?" if close else "Name a function that returns an nn.Module.",
            ) from None
        if isinstance(factory, nn.Module):
            return factory
        if not callable(factory):
            raise ExportError(f"{name} is a {type(factory).__name__}, not a function.", RETURN)
        _refuse_arguments(name, factory)
        with _explained(f"{name} raised"):
            return factory()


def _imported(where: str) -> ModuleType:
    spec: ModuleSpec | None
    if not where.endswith(".py"):
        try:
            top = find_spec(where.partition(".")[0])
        except (ImportError, ValueError):
            top = None
        if top is None:
            raise UnknownName(
                f"There is no plugin and no module named {where.partition('.')[0]}.",
                "Run the command in the folder that holds the package, or install it.",
            )
        with _explained(f"{where} could not be imported:"):
            return import_module(where)
    if not is_regular(where):
        raise UnknownName(f"There is no file {where}.", "Check the path.")
    stem = Path(where).stem
    name = stem if stem.isidentifier() and stem not in sys.modules else f"zoo_factory_{stem}"
    spec = spec_from_file_location(name, Path(where).absolute())
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    with _explained(f"{where} could not be imported:"):
        spec.loader.exec_module(module)
    return module


@contextmanager
def _importable(*folders: Path) -> Iterator[None]:
    """Let modules be imported from these folders, before all others."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Say in a sentence what the user's code raised; with ZOO_RAISE_ERRORS=1 it is raised as it is."""
    try:
        yield
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        refuse_out_of_memory(error)
        if shows_tracebacks():
            raise
        raise ExportError(f"{what} {describe_error(error)}", f"Correct it; {SHOW_TRACEBACK}") from error


def _refuse_arguments(name: str, factory: Any) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # of some built-in functions
        return
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [each.name for each in parameters if each.default is each.empty and each.kind not in kinds]
    if needed:
        raise UsageError(
            f"{name} takes arguments ({', '.join(needed)}), and zoo calls it without any.",
            "Write a function without arguments that calls it.",
        )
