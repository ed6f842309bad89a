"""Look up what plugins provide, by kind and name."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Generic, TypeVar

from zoo.contract.errors import MissingPackage, NameConflict, UnknownName
from zoo.contract.specs import Spec
from zoo.registry.discovery import Plugin

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class Entry(Generic[S]):
    """A spec and the plugin it came from."""

    spec: S
    plugin: Plugin

    @property
    def qualified(self) -> str:
        """`distribution:name`, which stays clear when another plugin claims the name."""
        return f"{self.plugin.distribution}:{self.spec.name}"


class Registry:
    """What the given plugins provide. An instance is passed along; there is no global one."""

    def __init__(self, plugins: Sequence[Plugin]) -> None:
        self.plugins = tuple(plugins)
        self._entries: dict[tuple[str, str], list[Entry[Spec]]] = {}
        for plugin in self.plugins:
            for spec in plugin.specs:
                self._entries.setdefault((spec.kind, spec.name), []).append(Entry(spec, plugin))

    def entries(self, kind: type[S]) -> list[Entry[S]]:
        """All of one kind, sorted by name; a name that several plugins claim appears once for each."""
        return [entry for key in sorted(self._entries) if key[0] == kind.kind for entry in self._of(kind, key[1])]

    def find(self, kind: type[S], name: str) -> Entry[S]:
        """The entry of that name, which may be qualified as `distribution:name` or `plugin:name`.

        Raises:
            UnknownName: nothing has that name; close matches are given.
            NameConflict: several plugins claim it.
            MissingPackage: it needs a package that is not installed.
        """
        found = self.look_up(kind, name)
        missing = [package for package in found.spec.requires if not _installed(package)]
        if missing:
            raise MissingPackage(
                f"The {kind.kind} {found.spec.name} needs {' and '.join(missing)}, which is not installed.",
                f"Run: pip install {shlex.join(missing)}",
            )
        return found

    def look_up(self, kind: type[S], name: str) -> Entry[S]:
        """As `find`, for an entry that is only shown and so may lack a package.

        Raises:
            UnknownName, NameConflict: as `find`.
        """
        owner, _, bare = name.rpartition(":")
        entries = self._of(kind, bare)
        found = [entry for entry in entries if owner in ("", entry.plugin.distribution)]
        found = found or [entry for entry in entries if owner == entry.plugin.name]
        if not found:
            raise self._unknown(kind, name)
        if len(found) > 1:
            raise _conflict(found)
        return found[0]

    def full_name(self, entry: Entry[S]) -> str:
        """The name by which `find` gives `entry` whatever else claims its plain name."""
        alike = [other for other in self._of(type(entry.spec), entry.spec.name) if other.qualified == entry.qualified]
        return entry.qualified if len(alike) == 1 else f"{entry.plugin.name}:{entry.spec.name}"

    def conflicts(self) -> list[list[Entry[Spec]]]:
        """The names that several plugins claim, each with all its claimants."""
        return [entries for _, entries in sorted(self._entries.items()) if len(entries) > 1]

    def _of(self, kind: type[S], name: str) -> list[Entry[S]]:
        entries = self._entries.get((kind.kind, name), [])
        return [Entry(entry.spec, entry.plugin) for entry in entries if isinstance(entry.spec, kind)]

    def _unknown(self, kind: type[S], name: str) -> UnknownName:
        names = sorted({entry.spec.name for entry in self.entries(kind)})
        close = get_close_matches(name.rpartition(":")[2].lower(), names, n=3, cutoff=0.6)
        listing = f"`zoo list {kind.plural}`"
        hint = f"Did you mean {' or '.join(close)}?" if close else f"See {listing} for the names that there are."
        return UnknownName(f"There is no {kind.kind} named {name!r}.", hint)


def _conflict(found: Sequence[Entry[S]]) -> NameConflict:
    spec = found[0].spec
    distributions = [entry.plugin.distribution for entry in found]
    unique = len(set(distributions)) == len(found)
    names = distributions if unique else [f"{entry.plugin.distribution} ({entry.plugin.name})" for entry in found]
    ways = [entry.qualified if unique else f"{entry.plugin.name}:{spec.name}" for entry in found]
    return NameConflict(
        f"The {spec.kind} {spec.name} is claimed by {' and by '.join(names)}.",
        f"Say which one you mean: {' or '.join(ways)}.",
    )


def _installed(package: str) -> bool:
    name = re.match(r"[\w.-]*", package.strip())
    bare = name[0] if name else ""
    try:
        return bool(distribution(bare))
    except (PackageNotFoundError, ValueError):
        pass
    try:  # one module may come from several distributions
        return find_spec(bare.replace("-", "_")) is not None
    except (ImportError, ValueError):
        return False
