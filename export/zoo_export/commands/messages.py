"""What the commands print of a check: verdicts, coverage, and a failure under `--json`. Loads no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli.output import print_json, print_verdict
from zoo.contract.evidence import AGREES, FAIL, INCONCLUSIVE, OVERRIDDEN, UNVERIFIED

if TYPE_CHECKING:
    from zoo.contract.errors import DifferenceError
    from zoo.contract.evidence import Comparison, Coverage, Verdict
    from zoo.contract.exporting.precision_rules import PrecisionRules


def coverage_line(coverage: "Coverage") -> str:
    """How much of the model a check covers."""
    missed = coverage.uncovered
    if coverage.fraction == 0:
        return "Coverage: a 1 % error in a parameter tensor would have passed this check, whichever it is."
    which = f"{100 * coverage.fraction:.0f} % of the parameter tensors" if missed else "any parameter tensor"
    text = f"Coverage: a 1 % error in {which} would have failed this check"
    own = coverage.by_weights.get("own_weights", coverage.fraction)
    if own < coverage.fraction:
        text += f" ({100 * own:.0f} % of them with these weights, the others with probe weights in the same graph)"
    if missed:
        text += f"; not covered: {missed[0]}" + (f" and {len(missed) - 1} more" if len(missed) > 1 else "")
    return f"{text}."


def print_result(
    path: Path,
    comparisons: "Sequence[Comparison]",
    verdict: "Verdict",
    rules: "PrecisionRules",
    coverage: "Coverage | None" = None,
) -> None:
    """Print the result of a check of an artifact that found no difference.

    Args:
        rules: of the artifact's precision.
        coverage: of the check, which the verdict `agrees` names.
    """
    if not comparisons:
        verdict = UNVERIFIED
    print_verdict(verdict, f"{path} {_result(comparisons, verdict, rules, coverage)}")


def _result(
    comparisons: "Sequence[Comparison]", verdict: "Verdict", rules: "PrecisionRules", coverage: "Coverage | None"
) -> str:
    if verdict == UNVERIFIED:
        return "was not run, or compared with anything"
    error = f"largest error: {rules.describe(max(comparison.ratio for comparison in comparisons))}"
    if verdict == OVERRIDDEN:
        return f"is within --atol and --rtol of the model ({error}; {len(comparisons)} comparisons)"
    error = f"{error}, {rules.describe_tolerance()} allowed"
    if verdict == AGREES and coverage is not None:
        covers = f"covers {int(100 * coverage.fraction)} % of the {coverage.tensors} parameter tensors"
        return f"agrees with the model; the check {covers} ({error}; {len(comparisons)} comparisons)"
    if verdict == INCONCLUSIVE:
        agrees = "agrees with the model, but the check covers too little of it"
        return f"{agrees} ({error}; {len(comparisons)} comparisons)"
    return f"computes what the model computes ({error}; {len(comparisons)} comparisons)"


def print_failure(error: "DifferenceError") -> None:
    """Write a failed check as JSON, its verdict first."""
    result = {"passed": False, "cause": error.cause, "next_step": error.next_step}
    print_json({"verdict": error.details.get("verdict", FAIL), **error.details, **result})
