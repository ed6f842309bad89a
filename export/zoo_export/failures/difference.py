"""The errors for what a check did not pass: it differs, it proves too little, or nothing was checked."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.errors import DifferenceError
from zoo.contract.precisions import PrecisionRules
from zoo_export.parity.check import PROBE
from zoo_export.parity.coverage import Coverage
from zoo_export.parity.judge import Comparison
from zoo_export.parity.override import Override
from zoo_export.parity.verdict import FAIL, INCONCLUSIVE, NOT_VERIFIED, UNVERIFIED
from zoo_export.precisions.fp32 import FP32


def worst(comparisons: Sequence[Comparison]) -> Comparison:
    """The comparison that fails by most, or passes by least."""
    return max(comparisons, key=lambda comparison: comparison.severity)


def difference(
    name: str,
    artifact: str,
    comparisons: Sequence[Comparison],
    blamed: str = "",
    override: Override | None = None,
    rules: PrecisionRules = FP32,
) -> DifferenceError:
    """The error for an artifact that does not compute what the model `name` computes; `blamed` says why, if known."""
    failed = worst(comparisons)
    under = " with ".join(
        text for text in ("", failed.runner, failed.weights if failed.weights.startswith(PROBE) else "") if text
    )
    at = f"on the probe {failed.probe}{f' ({under})' if under else ''}"
    image, index = failed.where or (0, 0)
    if failed.reason:
        what = f"{at} {failed.reason}"
    elif override is not None and failed.excess is not None:
        what = (
            f"{at} logit {index} of image {image} is off by {failed.tolerance + failed.excess:.3g}, and {override} "
            f"allows {failed.tolerance:.3g} there"
        )
    else:
        what = f"{at} the error is {rules.describe(failed.ratio)}, where {rules.tolerance:g} is allowed"
        if failed.where is not None:
            what += f"; worst at image {image}, class {index}, which is off by {failed.error:.3g}"
    return DifferenceError(
        f"{artifact} does not compute what {name} computes (verdict {FAIL}): {what}.{f' {blamed}' if blamed else ''}",
        "Do not use it. Nothing was published; what was there before is unchanged.",
        {
            "verdict": FAIL,
            "model": name,
            "artifact": Path(artifact).name,
            "override": override and override.to_dict(),
            "probes": [comparison.to_dict() for comparison in comparisons],
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
