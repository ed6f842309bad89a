"""Look up what plugins provide, by kind and name."""

import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Generic, TypeVar

from zoo.contract.errors import MissingPackage, NameConflict, UnknownName, ZooError
from zoo.contract.names import (
    OWN_DISTRIBUTION,
    bare_name,
    close_names,
    collection_name,
    is_owner,
    normalized,
    owner_name,
)
from zoo.contract.specs import Architecture, Collection, Spec
from zoo.registry.discovery import Plugin
from zoo.registry.members import Members
from zoo.registry.preferences import PREFER, config_file, preferred_names

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class Entry(Generic[S]):
    """A spec and the plugin it came from."""

    spec: S
    plugin: Plugin

    @property
    def qualified(self) -> str:
        """`distribution:name`, which is unambiguous when another distribution provides the name."""
        return f"{self.plugin.distribution}:{self.spec.name}"

    @property
    def full_name(self) -> str:
        """`distribution/entry_point:name`, which is unambiguous whatever else is installed."""
        return f"{self.plugin.distribution}/{self.plugin.name}:{self.spec.name}"

    @property
    def is_own(self) -> bool:
        """Whether zoo's own distribution provides it."""
        return normalized(self.plugin.distribution) == OWN_DISTRIBUTION


class Registry:
    """What the given plugins provide. An instance is passed along; there is no global one.

    A bare name that several plugins provide means what the user prefers, or else what zoo's own distribution provides.
    Plugins from elsewhere that share a name are told apart by their qualified names alone.

    Args:
        plugins: what it looks names up in, such as `zoo.registry.discovery.discover()` returns.
        prefer: qualified names that settle a bare name which several plugins provide, the most important first;
            `None` takes the user's, from `ZOO_PREFER` and the configuration file.
        warn: called with a sentence about a collection that listings leave out because its plugin is broken, and about
            an architecture that a collection of zoo's and another plugin provide.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        prefer: Sequence[str] | None = None,
        warn: Callable[[str], object] = warnings.warn,
    ) -> None:
        self.plugins = tuple(plugins)
        self._prefer = prefer
        self._warn = warn
        self._entries: dict[tuple[str, str], list[Entry[Spec]]] = {}
        self._members: dict[str, list[Members]] = {}  # by the collection's name
        self._warned: set[str] = set()  # what was warned of, once each
        for plugin in self.plugins:
            for spec in plugin.specs:
                self._entries.setdefault((spec.kind, spec.name), []).append(Entry(spec, plugin))
                if isinstance(spec, Collection):
                    self._members.setdefault(spec.name, []).append(Members(Entry(spec, plugin)))

    def entries(self, kind: type[S], name: str | None = None) -> list[Entry[S]]:
        """All of one kind, sorted by name; a name that several plugins provide appears once for each.

        Args:
            name: only those of this name, without an owner.

        Raises:
            PluginError: the plugin of a collection cannot make the spec of one of its architectures.
        """
        if name is not None:
            return self._of(kind, name)
        return [entry for each in self.names(kind) for entry in self._of(kind, each)]

    def names(self, kind: type[Spec], *, members: bool = True) -> list[str]:
        """The names of one kind, sorted, each once. No spec of a collection is made.

        Args:
            members: include the architectures of collections.
        """
        names = {name for of_kind, name in self._entries if of_kind == kind.kind}
        if kind is Architecture and members:
            names.update(*(each.names() for each in self._sound_collections()))
        return sorted(names)

    def collections(self) -> list[tuple[Entry[Collection], int]]:
        """The collections that plugins declare, sorted by name, each with the number of its architectures."""
        sound = [(each.entry, len(each.names())) for each in self._sound_collections()]
        return sorted(sound, key=lambda counted: (counted[0].spec.name, counted[0].full_name))

    def find(self, kind: type[S], name: str) -> Entry[S]:
        """The entry of that name, bare or qualified in one of the ways of `zoo.contract.names`.

        Raises:
            UnknownName: nothing has that name; close matches are given.
            NameConflict: several plugins provide it, the user prefers none of them, and zoo's own are not among them.
            MissingPackage: it needs a package that is not installed.
        """
        entry = self.look_up(kind, name)
        missing = [package for package in entry.spec.requires if not _installed(package)]
        if missing:
            import shlex  # listings need not spend the time

            raise MissingPackage(
                f"The {kind.kind} {entry.spec.name} needs {' and '.join(missing)}, which is not installed.",
                f"Run: pip install {shlex.join(missing)}",
            )
        return entry

    def look_up(self, kind: type[S], name: str) -> Entry[S]:
        """As `find`, for an entry that is only shown and so may lack a package.

        Raises:
            UnknownName, NameConflict: as `find`.
        """
        matches = self._matches(kind, name)
        if not matches:
            raise self._unknown(kind, name)
        settled = self._preferred(matches) or matches if owner_name(name) else self._settled(matches)
        if len(settled) > 1:
            raise self._conflict(settled)
        if len(matches) > 1 and collection_name(name) and not self._preferred(matches):
            others = ", ".join(entry.qualified for entry in matches if entry not in settled)
            self._warn_once(f"{name} means {settled[0].qualified}, not {others}.")
        return settled[0]

    def defaults(self, kind: type[S]) -> list[Entry[S]]:
        """As `entries`, without those whose bare name means the entry of another plugin."""
        return [entry for name in self.names(kind) for entry in self._settled(self._of(kind, name))]

    def shadowed(self) -> list[Entry[Spec]]:
        """The entries whose bare name means one of zoo's own, by plugin, unless the user prefers one of them.

        Collections are not read for this: `look_up` warns of an architecture of theirs.
        """
        shadowed = []
        for (kind, _), entries in self._entries.items():
            if kind != Collection.kind and len(entries) > 1 and not self._preferred(entries):
                settled = self._settled(entries)
                shadowed += [entry for entry in entries if entry not in settled]
        return sorted(shadowed, key=lambda entry: (entry.plugin.distribution, entry.plugin.name))

    def short_name(self, entry: Entry[S]) -> str:
        """The shortest qualified name by which `find` gives `entry` today, whatever the user prefers."""
        alike = [other for other in self._of(type(entry.spec), entry.spec.name) if other.qualified == entry.qualified]
        return entry.qualified if len(alike) == 1 else entry.full_name

    def recorded_name(self, kind: type[S], name: str) -> str:
        """The name to write into a recipe or manifest: `name`, with its owner where a preference decided.

        A bare name of zoo's own stays bare, so that a recipe does not depend on what else is installed.

        Raises:
            UnknownName, NameConflict: as `find`.
        """
        entry, matches = self.look_up(kind, name), self._matches(kind, name)
        return name if len(matches) == 1 or not (owner_name(name) or self._preferred(matches)) else entry.full_name

    def conflicts(self) -> list[list[Entry[Spec]]]:
        """The names that several plugins provide, each with all of its entries."""
        claimed = [entries for key, entries in self._entries.items() if len(entries) > 1 and key[0] != Collection.kind]
        seen = {name for kind, name in self._entries if kind == Architecture.kind}
        for members in self._sound_collections():
            again = members.names() & seen
            claimed += [list(self._of(Architecture, name)) for name in again]
            seen |= members.names()
        unique = {(entries[0].spec.kind, entries[0].spec.name): entries for entries in claimed}
        return [entries for _, entries in sorted(unique.items())]

    def unmatched_preferences(self) -> list[str]:
        """The preferred names that no plugin provides.

        Raises:
            UsageError: the user's preferences are malformed.
        """
        return [name for name in self._preferences() if not any(self._matches(kind, name) for kind in self._kinds())]

    def _preferences(self) -> Sequence[str]:
        return preferred_names() if self._prefer is None else self._prefer

    def _kinds(self) -> set[type[Spec]]:
        kinds = {type(entry.spec) for entries in self._entries.values() for entry in entries}
        return kinds - {Collection} | ({Architecture} if self._members else set())

    def _of(self, kind: type[S], name: str) -> list[Entry[S]]:
        entries = [*self._entries.get((kind.kind, name), [])]
        if kind is Architecture:
            entries += self._in_collections(name)
        return [Entry(entry.spec, entry.plugin) for entry in entries if isinstance(entry.spec, kind)]

    def _in_collections(self, name: str) -> list[Entry[Spec]]:
        """The architectures of collections that have this name, zoo's first: beside it, a broken one is left out."""
        entries: list[Entry[Spec]] = []
        for members in sorted(self._members.get(name.partition("/")[0], ()), key=lambda each: not each.entry.is_own):
            try:
                if name in members.names():
                    entries.append(Entry(members.architecture(name), members.entry.plugin))
            except ZooError as error:
                if not entries or not entries[0].is_own:
                    raise
                plugin = members.entry.plugin
                other = f"{plugin.distribution}/{plugin.name}:{name}"
                self._warn_once(f"{name} means {entries[0].qualified}, not {other}: {error.cause}")
        return entries

    def _sound_collections(self) -> Iterator[Members]:
        """The collections whose names can be listed. The plugins of the others are broken: a warning names each."""
        for members in (each for collections in self._members.values() for each in collections):
            try:
                members.names()
            except ZooError as error:
                self._warn_once(error.cause)
            else:
                yield members

    def _matches(self, kind: type[S], name: str) -> list[Entry[S]]:
        entries, owner = self._of(kind, bare_name(name)), owner_name(name)
        if not owner:
            return entries
        matches = [entry for entry in entries if is_owner(owner, entry.plugin.distribution, entry.plugin.name)]
        return matches or [entry for entry in entries if owner == entry.plugin.name]

    def _preferred(self, entries: Sequence[Entry[S]]) -> list[Entry[S]]:
        """The one of `entries` that the user prefers; empty if there is none."""
        for name in self._preferences():
            if bare_name(name) == entries[0].spec.name:
                matches = [entry for entry in self._matches(type(entries[0].spec), name) if entry in entries]
                if len(matches) == 1:
                    return matches
        return []

    def _settled(self, entries: Sequence[Entry[S]]) -> list[Entry[S]]:
        """What is left of the entries of one name: the preferred one, or else zoo's own, or else all."""
        if len(entries) < 2:
            return [*entries]
        return self._preferred(entries) or [entry for entry in entries if entry.is_own] or [*entries]

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)

    def _unknown(self, kind: type[S], name: str) -> UnknownName:
        close = close_names(bare_name(name).lower(), self.names(kind), n=3, cutoff=0.6)
        listing = f"`zoo list {kind.plural}`"
        hint = f"Did you mean {' or '.join(close)}?" if close else f"See {listing} for the available names."
        what = f"{kind.kind}, file or folder" if collection_name(name) else kind.kind
        return UnknownName(f"There is no {what} named {name!r}.", hint)

    def _conflict(self, entries: Sequence[Entry[S]]) -> NameConflict:
        spec = entries[0].spec
        owners = [f"{entry.plugin.distribution} (plugin {entry.plugin.name})" for entry in entries]
        names = " or ".join(self.short_name(entry) for entry in entries)
        return NameConflict(
            f"Several plugins provide the {spec.kind} {spec.name}: {' and '.join(owners)}.",
            f"Use {names}, or set one of them as your preference in {PREFER} or under `prefer` in {config_file()}.",
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
