"""Coverage: how much of a model a check can notice an error in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHANGE = 0.01  # the error in a parameter tensor that a check has to notice, as a fraction
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
    def from_dict(cls, data: Mapping[str, Any]) -> "Coverage":
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or malformed.
        """
        tensors, seed = data["tensors"], data["probe_weights_seed"]
        return cls(
            tensors=None if tensors is None else int(tensors),
            uncovered=tuple(str(name) for name in data["uncovered"]),
            by_weights={str(name): float(value) for name, value in data["by_weights"].items()},
            probe_weights_seed=None if seed is None else int(seed),
        )
