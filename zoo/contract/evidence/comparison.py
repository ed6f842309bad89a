"""What one comparison of an artifact with truth found, and the tolerances that may replace the default one."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from zoo.contract.errors import UsageError
from zoo.contract.evidence.probe import MAX_IMAGES, Truth
from zoo.contract.reading import MAX_NUMBER, Field, Malformed, fields

WEIGHTS = re.compile(r"(own_weights|probe_weights(_[0-9]{1,9})?|)")
CEILING = 1e39  # no two float32 values are further apart, and nothing overflows


@dataclass(frozen=True)
class Override:
    """Tolerances that the user names in place of the default one: a logit may be off by `atol + rtol * |truth|`.

    This is what `numpy.allclose` means by them.

    Raises:
        UsageError: one of the two is negative, above `CEILING` or not a number.
    """

    atol: float = 0.0
    rtol: float = 0.0

    def __post_init__(self) -> None:
        for flag, value in (("--atol", self.atol), ("--rtol", self.rtol)):
            if not 0 <= value <= CEILING:  # so for NaN
                raise UsageError(f"{flag} {value:g} is not a tolerance.", "Use a finite number from 0, such as 1e-4.")

    def __str__(self) -> str:
        return f"--atol {self.atol:g} --rtol {self.rtol:g}"

    def allowance(self, truth: Truth) -> Truth:
        """What each logit of `truth` `[N, K]` may be off by."""
        allowed: Truth = self.atol + self.rtol * abs(truth)
        return allowed

    def to_dict(self) -> dict[str, float]:
        """Plain data for the certificate."""
        return {"atol": self.atol, "rtol": self.rtol}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Override":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        override = fields(data).only("atol", "rtol")
        return cls(override["atol"].number(0, CEILING), override["rtol"].number(0, CEILING))


@dataclass(frozen=True)
class Comparison:
    """One artifact, run on one probe.

    Args:
        probe: its name.
        n: the number of images.
        error: the largest absolute difference from truth; infinite if there was nothing to compare.
        rounding_error: the unit in which the error is reported.
        tolerance: the largest error that passes; with an override, what is allowed at `where`.
        where: `[image, class]` of the largest difference; with an override, of the one that exceeds its own allowance
            most.
        reason: why it fails, if the error alone does not say.
        runner: what ran it, if a format has several runners.
        weights: which weights the artifact had: `own_weights`, or `probe_weights`, `probe_weights_2` and so on.
        excess: with an override, the difference at `where` minus what is allowed there; `None` without one.
    """

    probe: str
    n: int
    error: float
    rounding_error: float
    tolerance: float
    where: tuple[int, int] | None = None
    reason: str = ""
    runner: str = ""
    weights: str = ""
    excess: float | None = None

    @property
    def ratio(self) -> float:
        """The error in rounding errors: 1 is as far off as PyTorch itself."""
        if self.error == 0:
            return 0.0
        ratio = self.error / self.rounding_error if self.rounding_error else float("inf")
        return ratio if ratio <= MAX_NUMBER else float("inf")  # above it is more than a file may state

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return not self.reason and (self.error <= self.tolerance if self.excess is None else self.excess <= 0)

    @property
    def severity(self) -> tuple[bool, float]:
        """A key that sorts the worst comparison last: whether it fails, and by how much."""
        return not self.passed, self.ratio if self.excess is None else self.excess

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with `ratio` and `passed`. JSON has no infinity: `None` stands for it."""
        data = {**asdict(self), "ratio": self.ratio, "passed": self.passed}
        return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in data.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any] | Field) -> "Comparison":
        """Read what `to_dict` wrote.

        Raises:
            Malformed: a field is missing, malformed or out of range.
        """
        row = fields(data).only(
            *("probe", "n", "error", "rounding_error", "tolerance", "where", "reason", "runner", "weights", "excess"),
            *("ratio", "passed"),  # which follow from the others
        )
        error = row["error"].optional(lambda field: field.number(0))
        row["ratio"].optional(lambda field: field.number(0))
        comparison = cls(
            probe=row["probe"].text(1_000),
            n=row["n"].integer(1, MAX_IMAGES),
            error=float("inf") if error is None else error,
            rounding_error=row["rounding_error"].number(0),
            tolerance=row["tolerance"].number(0),
            where=row["where"].optional(_where),
            reason=row["reason"].text(),
            runner=row["runner"].text(1_000),
            weights=row["weights"].text(100, WEIGHTS),
            excess=row["excess"].optional(Field.number),
        )
        if row["passed"].boolean() != comparison.passed:
            raise Malformed(f"{row['passed'].path} does not follow from the error and the tolerance")
        return comparison


def _where(data: Field) -> tuple[int, int]:
    image, index = data.items(2, 2)
    return image.integer(), index.integer()
