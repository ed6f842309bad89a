"""Coverage: how much of a model a check can notice an error in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.contract.reading import Field, Malformed, fields

CHANGE = 0.01  # the error in a parameter tensor that a check has to notice, as a fraction
MAX_NAME = 10_000  # characters of a tensor's name
ENOUGH = 0.9  # of the parameter tensors; with fewer covered, a check is inconclusive


@dataclass(frozen=True)
class Coverage:
    """Which parameter tensors a check covers: those in which an error of 1 % would have failed it.

    Args:
        tensors: how many parameter tensors the model has; `None` if the certificate does not say.
        uncovered: the names of those that no set of weights covers.
        too_coarse: the names of those that could be rounded to float16 within the tolerance; not stored.
        by_weights: the fraction that each set of weights covers alone: `own_weights`, `probe_weights` and so on.
        probe_weights_seed: of the probe weights; `None` if the model's own weights were enough.
    """

    tensors: int | None
    uncovered: tuple[str, ...]
    too_coarse: tuple[str, ...] = ()
    by_weights: Mapping[str, float] = field(default_factory=dict)
    probe_weights_seed: int | None = None

    @property
    def fraction(self) -> float:
        """The fraction of the parameter tensors that are covered, 0 to 1."""
        return 1 - len(self.uncovered) / self.tensors if self.tensors else 1.0

    @property
    def enough(self) -> bool:
        """Whether the check covers enough to prove something."""
        return self.fraction >= ENOUGH

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "fraction": self.fraction,
            "tensors": self.tensors,
            "uncovered": list(self.uncovered),
            "by_weights": dict(self.by_weights),
            "probe_weights_seed": self.probe_weights_seed,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Coverage":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        coverage = fields(data).only("fraction", "tensors", "uncovered", "by_weights", "probe_weights_seed")
        coverage["fraction"].number(0, 1)  # which follows from the others
        tensors = coverage["tensors"].optional(Field.integer)
        uncovered = tuple(name.text(MAX_NAME) for name in coverage["uncovered"].items())
        if tensors is not None and len(uncovered) > tensors:
            raise Malformed(f"{coverage['uncovered'].path} has more names than there are tensors")
        return cls(
            tensors=tensors,
            uncovered=uncovered,
            by_weights={name: each.number(0, 1) for name, each in coverage["by_weights"].entries().items()},
            probe_weights_seed=coverage["probe_weights_seed"].optional(Field.integer),
        )
