"""Exports that the default tolerance does not prove: the error and the warnings about them. Loads no torch."""

from pathlib import Path

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import INCONCLUSIVE, OVERRIDDEN, UNVERIFIED, Coverage, Manifest, Override, Verdict

NOT_VERIFIED = "was exported with --no-verify, so nothing was run or compared and its outputs may be wrong"


def unverified(folder: Path, model: str) -> DifferenceError:
    """The error for a folder whose certificate holds nothing to compare with."""
    return DifferenceError(
        f"{folder} {NOT_VERIFIED}.",
        f"Run `zoo verify {folder} --strict`, which computes truth from the weights, or export it again.",
        {"verdict": UNVERIFIED, "model": model},
    )


def warnings_of(manifest: Manifest, *, overridden: bool = True) -> list[str]:
    """The warnings about an export; none if the default tolerance proves it.

    Args:
        overridden: whether an override and a missing check are among what is warned of; a strict verification makes
            up for them, but not for what the check does not cover.
    """
    certificate = manifest.certificate
    override, coverage, accepted = certificate.override, certificate.coverage, certificate.accepted_coverage
    texts = [warning(manifest.verdict, override) if overridden else ""]
    if accepted is not None and coverage is not None:
        texts.append(f"{accepted_coverage(coverage, accepted)}: {coverage.describe_uncovered()}.")
    elif overridden and manifest.verdict == OVERRIDDEN and coverage is not None and not coverage.enough:
        texts.append(
            f"{INCONCLUSIVE.upper()}: with these tolerances the check covers {100 * coverage.fraction:.0f} % of the "
            "parameter tensors, too little to prove anything."
        )
    return [text for text in texts if text]


def accepted_coverage(coverage: Coverage, accepted: float) -> str:
    """What an inconclusive export says of itself, up to the tensors that are not covered."""
    return (
        f"{INCONCLUSIVE.upper()}: the check covers {100 * coverage.fraction:.0f} % of the {coverage.tensors} parameter "
        f"tensors, which --accept-coverage {accepted:g} accepted; a 1 % error in any of these would pass it"
    )


def accepted_by_manifest(artifact: str, accepted: float) -> str:
    """What the verification of a single file says if its export was published with too little coverage."""
    return (
        f"{INCONCLUSIVE.upper()}: {artifact} is zoo's own export of the model, whose check covers too little of it; "
        f"--accept-coverage {accepted:g} accepted that, and manifest.json names what is not covered."
    )


def warning(verdict: Verdict, override: Override | None) -> str:
    """The warning about an export with this verdict; empty if the default tolerance proves it."""
    if verdict == UNVERIFIED:
        return f"{UNVERIFIED.upper()}: it {NOT_VERIFIED}."
    return "" if override is None else f"{OVERRIDDEN.upper()}: {override} replaced the default tolerance."
