"""What one comparison of an artifact with truth found, and the tolerances that may replace the default one."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from zoo.contract.errors import UsageError
from zoo.contract.evidence.probe import Truth

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
    def from_dict(cls, data: Mapping[str, Any]) -> "Override":
        """Read what `to_dict` wrote."""
        return cls(float(data["atol"]), float(data["rtol"]))


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
        return self.error / self.rounding_error if self.rounding_error else (0.0 if self.error == 0 else float("inf"))

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
    def from_dict(cls, data: Mapping[str, Any]) -> "Comparison":
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: a field is missing or malformed.
        """
        where = data["where"]
        return cls(
            probe=str(data["probe"]),
            n=int(data["n"]),
            error=float("inf") if data["error"] is None else float(data["error"]),
            rounding_error=float(data["rounding_error"]),
            tolerance=float(data["tolerance"]),
            where=None if where is None else (int(where[0]), int(where[1])),
            reason=str(data["reason"]),
            runner=str(data["runner"]),
            weights=str(data["weights"]),
            excess=None if data["excess"] is None else float(data["excess"]),
        )
