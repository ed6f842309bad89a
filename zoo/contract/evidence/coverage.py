"""Coverage: how much of a model a check can notice an error in."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from zoo.contract.reading import MAX_ITEMS, Field, Malformed, fields

CHANGE = 0.01  # the error in a parameter tensor that a check has to notice, as a fraction
MAX_DIMENSIONS = 64  # of a tensor
MAX_NAME = 10_000  # characters of a tensor's name
SHOWN = 8  # tensors in one message; the JSON and the certificate hold them all
MAX_EFFECT = 1.0  # of what is not covered, in tolerances
ENOUGH = 0.9  # of the parameter tensors; with fewer covered, a check is inconclusive

Reason = Literal["unused", "no_effect", "cancels", "weak"]
REASONS: tuple[Reason, ...] = ("unused", "no_effect", "cancels", "weak")


@dataclass(frozen=True)
class UncoveredTensor:
    """Why a check does not cover a parameter tensor.

    Args:
        shape: of the tensor.
        reason: `unused`: no gradient reaches it, as the forward ignores or detaches it; `no_effect`: its gradient is 0
            but for rounding, so that no small error in it reaches the logits; `cancels`: no value of it changes the
            logits, although its layer does, as a later step cancels it, such as a softmax of scores that are all
            shifted alike; `weak`: an error of 1 % changes the logits by less than the tolerance.
        effect: what an error of 1 % changes the logits by, as a fraction of the tolerance, 0 to 1; the largest over
            all sets of weights.
    """

    shape: tuple[int, ...]
    reason: Reason
    effect: float = 0.0

    def __str__(self) -> str:
        """The reason in words, as a clause."""
        if self.reason == "unused":
            return "the forward ignores or detaches it"
        if self.reason == "cancels":
            return "no value of it changes the logits, as a later step cancels it"
        if self.reason == "no_effect":
            return "no small error in it reaches the logits"
        return f"a 1 % error changes the logits by {self.effect:.1g} of the tolerance"

    @property
    def rank(self) -> tuple[bool, float]:
        """Of several reasons for one tensor, the one of the highest rank holds."""
        return self.reason == "cancels", self.effect

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"shape": list(self.shape), "reason": self.reason, "effect": self.effect}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "UncoveredTensor":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        tensor = fields(data).only("shape", "reason", "effect")
        return cls(
            tuple(size.integer() for size in tensor["shape"].items(0, MAX_DIMENSIONS)),
            tensor["reason"].choice(REASONS),
            tensor["effect"].number(0, MAX_EFFECT),
        )


@dataclass(frozen=True)
class Coverage:
    """Which parameter tensors a check covers: those in which an error of 1 % would have failed it.

    Args:
        tensors: how many parameter tensors the model has; `None` if the certificate does not say.
        uncovered: the names of those that no set of weights covers.
        too_coarse: the names of those that could be rounded to float16 within the tolerance; not stored.
        by_weights: the fraction that each set of weights covers alone: `own_weights`, `probe_weights` and so on.
        probe_weights_seed: of the probe weights; `None` if the model's own weights were enough.
        details: of the tensors that are not covered, by name; older certificates have none.
    """

    tensors: int | None
    uncovered: tuple[str, ...]
    too_coarse: tuple[str, ...] = ()
    by_weights: Mapping[str, float] = field(default_factory=dict)
    probe_weights_seed: int | None = None
    details: Mapping[str, UncoveredTensor] = field(default_factory=dict)

    @property
    def fraction(self) -> float:
        """The fraction of the parameter tensors that are covered, 0 to 1; those that are cancelled do not count."""
        cancelled = sum(detail.reason == "cancels" for detail in self.details.values())
        counted = (self.tensors or 0) - cancelled
        return 1 - (len(self.uncovered) - cancelled) / counted if counted > 0 else 1.0

    def with_reason(self, reason: Reason, names: Set[str]) -> "Coverage":
        """The same coverage with `reason` for those of the uncovered tensors that `names` holds."""
        details = {
            name: replace(detail, reason=reason) if name in names else detail for name, detail in self.details.items()
        }
        return replace(self, details=details)

    @property
    def enough(self) -> bool:
        """Whether the check covers enough to prove something."""
        return self.fraction >= ENOUGH

    def describe(self, name: str) -> str:
        """The name of a tensor that is not covered, its shape, and why, as far as that is known."""
        detail = self.details.get(name)
        return name if detail is None else f"{name} {list(detail.shape)}: {detail}"

    def describe_uncovered(self, limit: int = SHOWN) -> str:
        """The first `limit` tensors that are not covered, as `describe` writes them, and how many more there are."""
        more = f"; and {len(self.uncovered) - limit} more" if len(self.uncovered) > limit else ""
        return "; ".join(map(self.describe, self.uncovered[:limit])) + more

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `details` only where there are some."""
        details = {name: detail.to_dict() for name, detail in self.details.items()}
        return {
            "fraction": self.fraction,
            "tensors": self.tensors,
            "uncovered": list(self.uncovered),
            "by_weights": dict(self.by_weights),
            "probe_weights_seed": self.probe_weights_seed,
            **({"details": details} if details else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Coverage":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        coverage = fields(data).only("fraction", "tensors", "uncovered", "by_weights", "probe_weights_seed", "details")
        coverage["fraction"].number(0, 1)  # which follows from the others
        tensors = coverage["tensors"].optional(Field.integer)
        uncovered = tuple(name.text(MAX_NAME) for name in coverage["uncovered"].items())
        if tensors is not None and len(uncovered) > tensors:
            raise Malformed(f"{coverage['uncovered'].path} has more names than there are tensors")
        details = coverage.get("details")
        entries = {} if details is None else details.entries(0, MAX_ITEMS, MAX_NAME)
        if details is not None and not set(entries) <= set(uncovered):
            raise Malformed(f"{details.path} has names that are not in uncovered")
        return cls(
            tensors=tensors,
            uncovered=uncovered,
            by_weights={name: each.number(0, 1) for name, each in coverage["by_weights"].entries().items()},
            probe_weights_seed=coverage["probe_weights_seed"].optional(Field.integer),
            details={name: UncoveredTensor.from_dict(each) for name, each in entries.items()},
        )
