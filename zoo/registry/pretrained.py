"""Weights that plugins provide, by name: which there are, whose they are, and where the cache holds them."""

from pathlib import Path

from zoo.contract.errors import UnknownName
from zoo.contract.names import bare_name, owner_name
from zoo.contract.specs import Architecture
from zoo.files.folders import SUFFIX, find_weights, pretrained_folder, weights_files
from zoo.files.regular import is_regular
from zoo.registry.registry import Entry, Registry


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


def pretrained_entries(registry: Registry) -> list[tuple[Entry[Architecture], str]]:
    """All weights that plugins provide, on this machine or not, as architecture and tag, sorted by name."""
    return sorted(
        ((entry, tag) for entry in registry.entries(Architecture) for tag in entry.spec.pretrained),
        key=lambda provided: (provided[0].spec.name, provided[1], provided[0].full_name),
    )


def pretrained_names(registry: Registry) -> list[str]:
    """The `ARCH.TAG` of all weights that plugins provide, on this machine or not, sorted."""
    return sorted({f"{entry.spec.name}.{tag}" for entry, tag in pretrained_entries(registry)})


def provided_weights(registry: Registry, name: str) -> tuple[Entry[Architecture], str] | None:
    """As `split_tag`, for a name that leads to no file: files come before weights that plugins provide."""
    if name.endswith(SUFFIX) or name in weights_files() or ("/" in name and is_regular(name)):
        return None
    return split_tag(registry, name)


def find_file(registry: Registry, name: str) -> Path:
    """As `zoo.files.folders.find_weights`, with an error that also lists what plugins provide."""
    try:
        return find_weights(name)
    except UnknownName as error:
        architecture = name.partition(".")[0]
        names = sorted({*weights_files(), *pretrained_names(registry)})
        alike = [other for other in names if other.partition(".")[0] == architecture]
        raise UnknownName(error.cause, f"Available: {', '.join(alike)}." if alike else error.next_step) from None


def pretrained_path(entry: Entry[Architecture], tag: str) -> Path:
    """Where the cache holds weights that a plugin provides, once they were fetched."""
    owner = pretrained_folder() / entry.plugin.distribution / entry.plugin.name
    return owner / f"{entry.spec.name}.{tag}{SUFFIX}"
