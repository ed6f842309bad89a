"""Known faults of the libraries that an export goes through, and what was done in an artifact to avoid one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.contract.reading import Field, fields

MAX_WORKAROUNDS, MAX_PLACES = 1_000, 10_000_000


@dataclass(frozen=True)
class Workaround:
    """A known fault of a library that an artifact avoids.

    Args:
        fault: its name in the list of known faults.
        library: the distribution that has the fault.
        change: what was done to the artifact to avoid it, in one sentence.
        places: in how many places of the graph.
    """

    fault: str
    library: str
    change: str
    places: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"fault": self.fault, "library": self.library, "change": self.change, "places": self.places}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Workaround":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        workaround = fields(data).only("fault", "library", "change", "places")
        return cls(
            workaround["fault"].text(100),
            workaround["library"].text(100),
            workaround["change"].text(),
            workaround["places"].integer(1, MAX_PLACES),
        )


@dataclass(frozen=True)
class KnownFault:
    """A fault of a library that zoo avoids, as `docs/ledger.md` lists it.

    Args:
        name: such as `pad_before_pool`.
        library: the distribution that has it.
        versions: those that were tried and have it, such as `1.17.3 to 1.31.1`.
        symptom: what goes wrong, in one sentence.
        found_in: the models in which it was found.
        change: what is done to avoid it, in one sentence.
        test: the test that reproduces it in the library alone, and fails where the library no longer has the fault.
    """

    name: str
    library: str
    versions: str
    symptom: str
    found_in: str
    change: str
    test: str

    def avoided(self, places: int) -> tuple[Workaround, ...]:
        """What the certificate says of `places` places; nothing where there is none."""
        return (Workaround(self.name, self.library, self.change, places),) if places else ()
