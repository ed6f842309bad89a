"""The architectures of collections: their names without their specs, and one spec where it is looked up."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zoo.contract.errors import PluginError, ZooError, refuse_out_of_memory, shows_tracebacks
from zoo.contract.names import NAME
from zoo.contract.specs import Architecture, Collection
from zoo.registry.refs import resolve

if TYPE_CHECKING:
    from zoo.registry.registry import Entry

STEP = "Report it to the author of that plugin; ZOO_RAISE_ERRORS=1 shows the traceback."


class Members:
    """The architectures of one collection. Names and specs are read once, when they are first needed.

    Args:
        entry: of the collection.
    """

    def __init__(self, entry: "Entry[Collection]") -> None:
        self.entry = entry
        self._names: frozenset[str] | None = None
        self._specs: dict[str, Architecture] = {}

    def names(self) -> frozenset[str]:
        """The names of its architectures, `COLLECTION/NAME`.

        Raises:
            PluginError: the plugin cannot tell them.
            MissingPackage: its module needs a package that is not installed.
        """
        if self._names is None:
            names = self._called(self.entry.spec.names)
            if isinstance(names, str) or not isinstance(names, Iterable):
                raise self._broken(f"{self.entry.spec.names} returned a {type(names).__name__}, not names.")
            listed = list(names)
            for name in listed:
                if not isinstance(name, str) or not NAME.fullmatch(name):
                    raise self._broken(f"{name!r:.80} is no name: lower-case letters, digits and underscores.")
            if len(set(listed)) < len(listed):
                raise self._broken(f"{self.entry.spec.names} returned a name twice.")
            self._names = frozenset(map(self.entry.spec.full_name, listed))
        return self._names

    def architecture(self, name: str) -> Architecture:
        """The spec of `COLLECTION/NAME`, which is among `names`.

        Raises:
            PluginError: the plugin cannot make it, or makes another one.
            MissingPackage: its module needs a package that is not installed.
        """
        if name not in self._specs:
            spec = self._called(self.entry.spec.architecture, name.partition("/")[2])
            if not isinstance(spec, Architecture) or spec.name != name:
                raise self._broken(f"{self.entry.spec.architecture} returned {spec!r:.80}, not the spec of {name}.")
            self._specs[name] = spec
        return self._specs[name]

    def _called(self, ref: str, *arguments: str) -> object:
        function = resolve(self.entry, ref)
        try:
            return function(*arguments)
        except ZooError:
            raise
        except (Exception, SystemExit) as error:
            refuse_out_of_memory(error)
            if shows_tracebacks():
                raise
            from zoo.contract.wording.author_code import describe_error  # not needed without an error

            raise self._broken(f"{ref} raised {describe_error(error)}.") from error

    def _broken(self, reason: str) -> PluginError:
        name, owner = self.entry.spec.name, self.entry.plugin.distribution
        return PluginError(f"The collection {name} of {owner} cannot be used: {' '.join(reason.split())}", STEP)
