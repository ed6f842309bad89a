"""From an `ARCH.TAG` whose weights a plugin provides to a weights file in the user's cache."""

from pathlib import Path

from zoo.contract.errors import PluginError, UnknownName, ZooError, refuse_out_of_memory
from zoo.contract.names import bare_name, owner_name
from zoo.contract.pretrained import PretrainedWeights
from zoo.contract.specs import Architecture
from zoo.files.folders import SUFFIX, find_weights, pretrained_folder, weights_files
from zoo.files.regular import is_regular
from zoo.models.foreign import store_foreign
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry, Registry


def locate_weights(registry: Registry, name: str, *, download: bool = False) -> Path:
    """The weights file that `name` means: a path, a file in the weights folders, or weights that a plugin provides.

    Args:
        name: `ARCH.TAG` or a path.
        download: let the plugin download the weights if they are not on this machine.

    Raises:
        UnknownName: there are no such weights. The error lists those of the same architecture.
        WeightsError: `name` is a path and there is no file, or the weights are not here and `download` is false.
        ZooError: the plugin could not provide them.
    """
    if name.endswith(SUFFIX) or name in weights_files() or (is_regular(name) and "/" in name):
        return find_weights(name)
    if split_tag(registry, name) is not None:
        return open_pretrained(registry, name, download=download)
    try:
        return find_weights(name)
    except UnknownName as error:
        architecture = name.partition(".")[0]
        alike = [other for other in pretrained_names(registry) if other.partition(".")[0] == architecture]
        if alike:
            raise UnknownName(
                error.cause, f"Available: {', '.join(sorted({*alike, *_stored(architecture)}))}."
            ) from None
        raise


def split_tag(registry: Registry, name: str) -> tuple[Entry[Architecture], str] | None:
    """The architecture and the tag of an `ARCH.TAG` whose weights a plugin provides; `None` if none does.

    Raises:
        NameConflict: several plugins provide the architecture, and the user prefers none of them.
    """
    architecture, _, tag = bare_name(name).partition(".")
    owner = owner_name(name)
    if not any(tag in entry.spec.pretrained for entry in registry.entries(Architecture, architecture)):
        return None
    try:
        entry = registry.look_up(Architecture, f"{owner}{owner and ':'}{architecture}")
    except UnknownName:  # of that owner
        return None
    return (entry, tag) if tag in entry.spec.pretrained else None


def pretrained_names(registry: Registry) -> list[str]:
    """The `ARCH.TAG` of all weights that plugins provide, on this machine or not, sorted. Imports no torch."""
    return sorted(
        {f"{entry.spec.name}.{tag}" for entry in registry.entries(Architecture) for tag in entry.spec.pretrained}
    )


def pretrained_path(entry: Entry[Architecture], tag: str) -> Path:
    """Where the cache holds weights that a plugin provides, once they were fetched."""
    owner = pretrained_folder() / entry.plugin.distribution / entry.plugin.name
    return owner / f"{entry.spec.name}.{tag}{SUFFIX}"


def open_pretrained(registry: Registry, name: str, *, download: bool = False) -> Path:
    """The weights file of an `ARCH.TAG` that a plugin provides. It is made once, and kept in the user's cache.

    Args:
        name: `ARCH.TAG`, with or without an owner.
        download: let the plugin download the weights if they are not on this machine.

    Raises:
        UnknownName: no plugin provides these weights.
        WeightsError: they are not on this machine and `download` is false, or they are damaged.
        OutputError: the cache cannot be written.
        MissingPackage, PluginError: the plugin's code needs a package, raised an exception, or returned something else.
    """
    provided = split_tag(registry, name)
    if provided is None:
        raise UnknownName(f"No plugin provides the weights {name!r}.", "See `zoo weights list` for the available ones.")
    _, tag = provided
    path = pretrained_path(provided[0], tag)
    if is_regular(path):
        return path
    entry = registry.find(Architecture, provided[0].full_name)  # which refuses where a package is missing
    fetch = resolve(entry, entry.spec.fetch)
    label = f"The weights {entry.spec.name}.{tag} of {entry.plugin.distribution}"
    try:
        weights = fetch(entry.spec.name, tag, download=download)
    except ZooError:
        raise
    except Exception as error:
        refuse_out_of_memory(error)
        raise PluginError(
            f"{label} could not be read: {type(error).__name__}: {error}", "Report it to the author of that plugin."
        ) from error
    if not isinstance(weights, PretrainedWeights):
        raise PluginError(
            f"{label} came as a {type(weights).__name__}, not a PretrainedWeights.", f"Correct {entry.spec.fetch}."
        )
    store_foreign(weights, entry, path, force=True)
    return path


def _stored(architecture: str) -> list[str]:
    return [name for name in weights_files() if name.partition(".")[0] == architecture]
