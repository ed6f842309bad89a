"""The list of plugins that a user allows, where there is one: see `preferences`."""

from collections.abc import Iterable
from dataclasses import dataclass

from zoo.contract.names import OWN_DISTRIBUTION, is_owner, normalized


@dataclass(frozen=True)
class AllowList:
    """The plugins that may be imported, besides those of zoo's own distribution, which always may.

    Args:
        names: each a `DISTRIBUTION` or a `DISTRIBUTION/ENTRY_POINT`.
        source: where the list comes from: the environment variable, or the path of the configuration file.
    """

    names: tuple[str, ...]
    source: str

    def allows(self, distribution: str, entry_point: str) -> bool:
        """Whether the entry point of that distribution may be imported."""
        own = normalized(distribution) == OWN_DISTRIBUTION
        return own or any(is_owner(name, distribution, entry_point) for name in self.names)

    def unmatched(self, plugins: Iterable[tuple[str, str]]) -> list[str]:
        """The names that no plugin has. `plugins` are pairs of distribution and entry point."""
        pairs = list(plugins)
        return [name for name in self.names if not any(is_owner(name, *pair) for pair in pairs)]
