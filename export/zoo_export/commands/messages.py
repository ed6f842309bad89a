"""What the commands say of an export that is not proven by zoo's own rule, and of a failure under `--json`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.cli.output import print_json
from zoo_export.parity.verdict import FAIL, INCONCLUSIVE, NOT_VERIFIED, OVERRIDDEN, UNVERIFIED

if TYPE_CHECKING:
    from zoo.contract.errors import DifferenceError


def warning(verdict: str, override: Mapping[str, float] | None) -> str:
    """What to say loudly of an export with this verdict; empty where it is proven by zoo's own rule."""
    if verdict == UNVERIFIED:
        return f"{NOT_VERIFIED}."
    if override is not None:
        by = f"--atol {override['atol']:g} --rtol {override['rtol']:g}"
        return f"{OVERRIDDEN.upper()}: judged by {by} in place of zoo's own tolerance."
    return ""


def inconclusive_warning(manifest: Mapping[str, Any]) -> str:
    """What to say loudly where an override leaves a check that would notice too little; empty where it does not."""
    from zoo_export.parity.coverage import ENOUGH  # loads torch

    told = manifest["certificate"]["coverage"]
    if manifest["verdict"] != OVERRIDDEN or told["share"] >= ENOUGH:
        return ""
    return (
        f"{INCONCLUSIVE.upper()}: by these tolerances a 1 % change of only {100 * told['share']:.0f} % of the parameters "
        "would have been noticed, so that the check proves too little."
    )


def print_failure(error: "DifferenceError") -> None:
    """Write what was found different as JSON, its verdict first."""
    told = {"passed": False, "cause": error.cause, "next_step": error.next_step}
    print_json({"verdict": error.details.get("verdict", FAIL), **error.details, **told})
