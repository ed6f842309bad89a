"""Exports that the default tolerance does not prove: the error and the warnings about them. Loads no torch."""

from pathlib import Path

from zoo.contract.errors import DifferenceError
from zoo.contract.evidence import INCONCLUSIVE, OVERRIDDEN, UNVERIFIED, Manifest, Override, Verdict

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


def warnings_of(manifest: Manifest) -> list[str]:
    """The warnings about an export; none if the default tolerance proves it."""
    override, coverage = manifest.certificate.override, manifest.certificate.coverage
    texts = [warning(manifest.verdict, override)]
    if manifest.verdict == OVERRIDDEN and coverage is not None and not coverage.enough:
        texts.append(
            f"{INCONCLUSIVE.upper()}: with these tolerances the check covers {100 * coverage.fraction:.0f} % of the "
            "parameter tensors, too little to prove anything."
        )
    return [text for text in texts if text]


def warning(verdict: Verdict, override: Override | None) -> str:
    """The warning about an export with this verdict; empty if the default tolerance proves it."""
    if verdict == UNVERIFIED:
        return f"{NOT_VERIFIED}."
    return "" if override is None else f"{OVERRIDDEN.upper()}: {override} replaced the default tolerance."
