"""The errors for a failed check: the artifact differs from the model, or the check covers too little of it."""

from collections.abc import Sequence
from pathlib import Path

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import FAIL, INCONCLUSIVE, Comparison, Coverage, Override
from zoo.contract.exporting.precision_rules import PrecisionRules
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
    weights = failed.weights.replace("_", " ") if failed.weights.startswith("probe") else ""
    how = " with ".join(text for text in (failed.runner, weights) if text)
    what = f"on the probe {failed.probe}{f' ({how})' if how else ''} "
    image, index = failed.where or (0, 0)
    if failed.reason:
        what += failed.reason
    elif override is not None and failed.excess is not None:
        what += (
            f"logit {index} of image {image} is off by {failed.tolerance + failed.excess:.3g}, and {override} allows "
            f"{failed.tolerance:.3g} there"
        )
    else:
        what += f"the error is {rules.describe(failed.ratio)}, where {rules.describe_tolerance()} is allowed"
        if failed.where is not None:
            what += f"; worst at image {image}, class {index}, which is off by {failed.error:.3g}"
    return DifferenceError(
        f"{artifact} does not compute what {name} computes: {what}.{f' {blamed}' if blamed else ''}",
        "Do not use it. No existing file was changed.",
        {
            "verdict": FAIL,
            "model": name,
            "artifact": Path(artifact).name,
            "override": override and override.to_dict(),
            "comparisons": [comparison.to_dict() for comparison in comparisons],
            "blame": blamed,
        },
    )


def inconclusive(check: str, model: str, coverage: Coverage, next_step: str) -> DifferenceError:
    """The error for a `check` that covers too little of the model to prove anything."""
    return DifferenceError(
        f"{check} would be inconclusive: it covers {100 * coverage.fraction:.0f} % of the {coverage.tensors} parameter "
        f"tensors. A 1 % error in any of these would pass it: {coverage.describe_uncovered()}.",
        next_step,
        {"verdict": INCONCLUSIVE, "model": model, "coverage": coverage.to_dict()},
    )
