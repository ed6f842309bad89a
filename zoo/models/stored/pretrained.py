"""From an `ARCH.TAG` whose weights a plugin provides to a weights file in the user's cache."""

from pathlib import Path

from zoo.contract.errors import PluginError, UnknownName, ZooError, refuse_out_of_memory
from zoo.contract.pretrained import PretrainedWeights
from zoo.contract.specs import Architecture
from zoo.contract.wording.author_code import SHOW_TRACEBACK, describe_error
from zoo.files.claim import claimed
from zoo.files.regular import is_regular
from zoo.models.hub_layout.folder import open_hub_folder
from zoo.models.stored.foreign import store_foreign
from zoo.models.stored.repository import open_repository
from zoo.registry.hub.folders import hub_folder
from zoo.registry.hub.repositories import SCHEME
from zoo.registry.pretrained import find_file, pretrained_path, provided_weights, split_tag
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry, Registry


def locate_weights(registry: Registry, name: str, *, download: bool = False) -> Path:
    """The weights file that `name` means: a path, a file in the weights folders, or weights that a plugin provides.

    Args:
        name: `ARCH.TAG`, a path, a folder in timm's layout, `local-dir:FOLDER`, or `hf-hub:OWNER/NAME`.
        download: let the plugin download the weights if they are not on this machine.

    Raises:
        UnknownName: there are no such weights. The error lists those of the same architecture.
        WeightsError: `name` is a path and there is no file, or the weights are not here and `download` is false.
        ZooError: the plugin could not provide them.
    """
    if name.startswith(SCHEME):
        return open_repository(registry, name, download=download)
    if (folder := hub_folder(name)) is not None:
        return open_hub_folder(registry, folder)
    if provided_weights(registry, name) is not None:
        return open_pretrained(registry, name, download=download)
    return find_file(registry, name)


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
    with claimed(path, wait=True):  # the ranks of a training may come here together
        if not is_regular(path):
            store_foreign(_fetched(entry, tag, download=download), entry, path, force=True)
    return path


def _fetched(entry: Entry[Architecture], tag: str, *, download: bool) -> PretrainedWeights:
    """What the plugin's `fetch` returns.

    Raises:
        PluginError: it raised an exception, or returned something else.
    """
    fetch = resolve(entry, entry.spec.fetch)
    label = f"The weights {entry.spec.name}.{tag} of {entry.plugin.distribution}"
    try:
        weights = fetch(entry.spec.name, tag, download=download)
    except ZooError:
        raise
    except Exception as error:
        refuse_out_of_memory(error)
        raise PluginError(
            f"{label} could not be read: {describe_error(error)}",
            f"Report it to the author of that plugin; {SHOW_TRACEBACK}",
        ) from error
    if not isinstance(weights, PretrainedWeights):
        raise PluginError(
            f"{label} came as a {type(weights).__name__}, not a PretrainedWeights.", f"Correct {entry.spec.fetch}."
        )
    return weights
