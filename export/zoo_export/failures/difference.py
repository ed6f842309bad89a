"""The errors for what a check did not pass: it differs, it proves too little, or nothing was checked."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.errors import DifferenceError
from zoo_export.parity.check import PROBE
from zoo_export.parity.coverage import Coverage
from zoo_export.parity.judge import TOLERANCE_FACTOR, Comparison
from zoo_export.parity.override import Override
from zoo_export.parity.verdict import FAIL, INCONCLUSIVE, NOT_VERIFIED, UNVERIFIED


def worst(found: Sequence[Comparison]) -> Comparison:
    """The comparison that fails by most, or passes by least."""
    return max(found, key=lambda comparison: comparison.severity)


def difference(
    name: str, artifact: str, found: Sequence[Comparison], blamed: str = "", override: Override | None = None
) -> DifferenceError:
    """The error for an artifact that does not compute what the model `name` computes; `blamed` says why, if known."""
    failed = worst(found)
    under = " with ".join(
        text for text in ("", failed.runner, failed.weights if failed.weights.startswith(PROBE) else "") if text
    )
    at = f"on the probe {failed.probe}{f' ({under})' if under else ''}"
    if failed.reason:
        what = f"{at} {failed.reason}"
    else:
        image, index = failed.where or (0, 0)
        allowed = f"{TOLERANCE_FACTOR:g} are allowed"
        if override is not None and failed.excess is not None:
            allowed = (
                f"{override} allows {failed.tolerance:.3g}, and the logit that exceeds that most is off by "
                f"{failed.tolerance + failed.excess:.3g}"
            )
        what = (
            f"{at} it is off by {failed.error:.3g}, {failed.ratio:,.0f} times PyTorch's own "
            f"rounding error where {allowed}, worst at image {image}, class {index}"
        )
    return DifferenceError(
        f"{artifact} does not compute what {name} computes (verdict {FAIL}): {what}.{f' {blamed}' if blamed else ''}",
        "It must not be used; what was there before is as it was.",
        {
            "verdict": FAIL,
            "model": name,
            "artifact": Path(artifact).name,
            "override": override and override.to_dict(),
            "probes": [comparison.to_dict() for comparison in found],
            "blame": blamed,
        },
    )


def inconclusive(what: str, model: str, seen: Coverage, next_step: str) -> DifferenceError:
    """The error for `what`, a check that would notice too little of the model to prove anything."""
    return DifferenceError(
        f"{what} would prove too little (verdict {INCONCLUSIVE}): {noticed(seen)}.",
        next_step,
        {"verdict": INCONCLUSIVE, "model": model, "share": seen.share, "uncovered": list(seen.uncovered)},
    )


def noticed(seen: Coverage) -> str:
    """How much a check that proves too little would notice, as a clause."""
    return (
        f"a 1 % change of only {100 * seen.share:.0f} % of the {seen.tensors} parameters would be noticed, and not of "
        f"{seen.uncovered[0]}, for one"
    )


def unverified(folder: Path, model: str) -> DifferenceError:
    """The error for a folder that holds no proof to replay."""
    return DifferenceError(
        f"{folder} is {NOT_VERIFIED}.",
        f"Say `zoo verify {folder} --strict`, which computes truth afresh from the weights, or export it again.",
        {"verdict": UNVERIFIED, "model": model},
    )
