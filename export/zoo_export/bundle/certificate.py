"""The certificate: what was exported from what, what it was compared with and how, and what came out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.contract.specs import ExportFormat
from zoo.models.load import Model
from zoo.registry.registry import Entry, Registry
from zoo_export.bundle.provenance import architecture_of, environment, plugin_of, sha256, weights_of
from zoo_export.parity.check import Check, covered
from zoo_export.parity.evidence import Evidence
from zoo_export.parity.judge import TOLERANCE_FACTOR, Comparison
from zoo_export.probes import probe_recipe as recipe
from zoo_export.probes import probe_weights


def build_certificate(
    registry: Registry,
    model: Model,
    evidence: Evidence,
    artifacts: Mapping[str, Any],
    proof: Mapping[str, Sequence[Comparison]],
) -> dict[str, Any]:
    """Plain data for the manifest.

    Args:
        artifacts: format name to what `describe_artifact` gives.
        proof: for half artifacts, format name to what was judged in float32 first.
    """
    arithmetic = "float32" if evidence.half is None else "float16"
    certificate = {
        "verdict": evidence.verdict,
        "truth": "the untouched model, evaluated in float64",
        "rounding_error": f"largest deviation from truth of {arithmetic} evaluations that differ in rounding alone",
        "k": TOLERANCE_FACTOR,
        "override": None if evidence.override is None else evidence.override.to_dict(),
        "weights": weights_of(model),
        "architecture": architecture_of(registry, model.card),
        "environment": environment(),
        "real_images": evidence.real.whence,
        "seed": recipe.SEED,
        "made_of": recipe.HOW,
        "probes": [_probe(model, evidence, index) for index in range(len(evidence.probes))],
        "coverage": _coverage(evidence.checks) if evidence.checks else None,
        "artifacts": dict(artifacts),
    }
    if evidence.half is not None:
        certificate["float32"] = {
            "what": "the same operators in float32, judged first and not kept; the coverage is theirs",
            "probes": [
                {"name": told.probe.name, "rounding_error": told.rounding_error}
                for told in evidence.checks[0].references
            ],
            "artifacts": {name: [comparison.to_dict() for comparison in found] for name, found in proof.items()},
        }
    return certificate


def describe_artifact(
    entry: Entry[ExportFormat], path: Path, verdict: str, comparisons: Sequence[Comparison]
) -> dict[str, Any]:
    """One artifact: its verdict, its hashes (tensors may lie in a second file), its plugin, what was compared."""
    return {
        "verdict": verdict,
        "sha256": {part.name: sha256(part) for part in parts(path)},
        "format": plugin_of(entry),
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }


def parts(path: Path) -> list[Path]:
    """The files of an artifact: itself, and what its format wrote beside it under its name and a further suffix."""
    return sorted(file for file in path.parent.iterdir() if file == path or file.name.startswith(f"{path.name}."))


def _probe(model: Model, evidence: Evidence, index: int) -> dict[str, Any]:
    probe = evidence.probes[index]
    told = {
        "name": probe.name,
        "n": len(probe.images),
        "images": recipe.describe(probe, model.card.preprocess, evidence.real.words),
        "sha256": recipe.input_digest(probe),
    }
    if evidence.own is None:
        return told
    reference = evidence.own.references[index]
    told |= {
        "peak": reference.peak,
        "rounding_error": reference.rounding_error,
        "tolerance": TOLERANCE_FACTOR * reference.rounding_error,
    }
    elsewhere = {
        setting.provider: found[index].rounding_error
        for setting, found in evidence.own.elsewhere.items()
        if setting.provider != "cpu"
    }
    return {**told, "rounding_errors": elsewhere} if elsewhere else told


def _coverage(checks: Sequence[Check]) -> dict[str, Any]:
    seen = covered(checks)
    return {
        "what": "share of the parameters of which a 1 % change would have been noticed",
        "share": seen.share,
        "uncovered": list(seen.uncovered),
        "probe_weights_seed": probe_weights.SEED if len(checks) > 1 else None,
        **{check.weights: check.coverage.share for check in checks},
    }
