"""What is said of an export that was never checked. Loads no torch."""

from pathlib import Path

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import UNVERIFIED

NOT_VERIFIED = (
    "UNVERIFIED: it was exported with --no-verify, so nothing was run or compared and its outputs may be wrong"
)


def unverified(folder: Path, model: str) -> DifferenceError:
    """The error for a folder whose certificate holds nothing to compare with."""
    return DifferenceError(
        f"{folder} is {NOT_VERIFIED}.",
        f"Run `zoo verify {folder} --strict`, which computes truth from the weights, or export it again.",
        {"verdict": UNVERIFIED, "model": model},
    )
