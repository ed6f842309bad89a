"""From the architecture that a card names to the plugin that provides it here."""

from zoo.contract.errors import NameConflict, UnknownName, WeightsError
from zoo.contract.specs import Architecture
from zoo.files.card import Card, read_card
from zoo.files.folders import find_weights, weights_files
from zoo.registry.registry import Entry, Registry


def architecture_of(registry: Registry, card: Card) -> Entry[Architecture]:
    """The architecture of a card, looked up by distribution and entry point.

    Cards of release 0.1.0 have no entry point, and a later release of the distribution may have renamed it: then the
    distribution and the name decide, and the user's preference where the distribution provides that name twice.

    Raises:
        UnknownName: the distribution provides no such architecture, or is not installed; or the card is of a module
            that no plugin declares.
        NameConflict: it provides several, and the user prefers none of them.
        MissingPackage: the architecture needs a package that is not installed.
    """
    if not card.plugin:
        raise UnknownName(
            f"No plugin declares the architecture {card.architecture}.", "Pass the module itself, from Python."
        )
    try:
        return registry.find(Architecture, card.architecture_name)
    except UnknownName:
        return registry.find(Architecture, f"{card.plugin}:{card.architecture}")


def stored_weights(registry: Registry, entry: Entry[Architecture]) -> list[str]:
    """The stored weights of an architecture, as `ARCH.TAG`: those whose cards mean this entry, not one of its name."""
    names = [name for name in weights_files() if name.partition(".")[0] == entry.spec.name]
    return [name for name in names if _is_of(registry, name, entry)]


def _is_of(registry: Registry, name: str, entry: Entry[Architecture]) -> bool:
    try:
        return architecture_of(registry, read_card(find_weights(name))[0]) == entry
    except (NameConflict, UnknownName, WeightsError):
        return False
