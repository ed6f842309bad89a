"""An override: an absolute and a relative tolerance that replace the derived tolerance, because somebody said so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.contract.errors import UsageError
from zoo_export.parity.reference import Reference

CEILING = 1e39  # no two float32 values are further apart, and nothing overflows


@dataclass(frozen=True)
class Override:
    """Each logit may be off by `atol + rtol * |truth|`, as `numpy.allclose` means it.

    Raises:
        UsageError: one of the two is negative, above `CEILING` or no number.
    """

    atol: float = 0.0
    rtol: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("--atol", self.atol), ("--rtol", self.rtol)):
            if not 0 <= value <= CEILING:  # so for NaN
                raise UsageError(f"{name} {value:g} is no tolerance.", "Say a finite number from 0, such as 1e-4.")

    def __str__(self) -> str:
        return f"--atol {self.atol:g} --rtol {self.rtol:g}"

    def allowance(self, truth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What each logit of `truth` `[N, K]` may be off by."""
        allowed: npt.NDArray[np.float64] = self.atol + self.rtol * np.abs(truth)
        return allowed

    def to_dict(self) -> dict[str, float]:
        """Plain data for the certificate."""
        return {"atol": self.atol, "rtol": self.rtol}

    def in_rounding_errors(self, references: Sequence[Reference], tolerance: float) -> list[Reference]:
        """The references with rounding errors such that `tolerance` rounding errors are the largest allowance: what coverage reads.

        A change that exceeds the largest allowance is noticed for certain, so that no more is promised than holds.
        """
        return [
            replace(told, rounding_error=float(self.allowance(told.truth).max()) / tolerance) for told in references
        ]


def override_of(certificate: Mapping[str, Any]) -> Override | None:
    """The override that a certificate names, if any."""
    told = certificate.get("override")
    return None if told is None else Override(float(told["atol"]), float(told["rtol"]))
