"""The certificate: what was exported from what, what it was compared with and how, and what came out."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.contract.formats import ExportFormat, Paths
from zoo.contract.precisions import PrecisionRules
from zoo.models.load import Model
from zoo.registry.registry import Entry, Registry
from zoo_export.bundle.provenance import architecture_of, environment, plugin_of, sha256, weights_of
from zoo_export.parity.check import Check, covered
from zoo_export.parity.evidence import Evidence
from zoo_export.parity.judge import Comparison, unit_of
from zoo_export.precisions.fp32 import FP32
from zoo_export.probes import probe_recipe as recipe
from zoo_export.probes import probe_weights


def build_certificate(
    registry: Registry,
    model: Model,
    evidence: Evidence,
    artifacts: Mapping[str, Any],
    proof: Mapping[str, Sequence[Comparison]],
    rules: PrecisionRules = FP32,
) -> dict[str, Any]:
    """Plain data for the manifest.

    Args:
        artifacts: format name to what `describe_artifact` gives.
        proof: format name to what was judged in float32 first, if the precision asks for that.
        rules: of the artifacts' precision.
    """
    certificate = {
        "verdict": evidence.verdict,
        "truth": "the untouched model, evaluated in float64",
        "rounding_error": rules.definition,
        "k": rules.tolerance,
        "override": None if evidence.override is None else evidence.override.to_dict(),
        "weights": weights_of(model),
        "architecture": architecture_of(registry, model.card),
        "environment": environment(),
        "real_images": evidence.real.whence,
        "seed": recipe.SEED,
        "made_of": recipe.HOW,
        "probes": [_probe(model, evidence, index, rules) for index in range(len(evidence.probes))],
        "coverage": _coverage(evidence.checks) if evidence.checks else None,
        "artifacts": dict(artifacts),
    }
    if evidence.published is not None:
        certificate["float32"] = {
            "what": "the same model in float32, judged first and not kept; the coverage is that of this check",
            "probes": [
                {"name": told.probe.name, "rounding_error": told.rounding_error}
                for told in evidence.checks[0].references
            ],
            "artifacts": {name: [comparison.to_dict() for comparison in found] for name, found in proof.items()},
        }
    return certificate


def describe_artifact(
    entry: Entry[ExportFormat], paths: Paths, verdict: str, comparisons: Sequence[Comparison]
) -> dict[str, Any]:
    """One artifact: its verdict, the hashes of its files, its plugin, what was compared."""
    return {
        "verdict": verdict,
        "sha256": {path.name: sha256(path) for path in paths.existing},
        "format": plugin_of(entry),
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }


def _probe(model: Model, evidence: Evidence, index: int, rules: PrecisionRules) -> dict[str, Any]:
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
    unit = unit_of(reference, rules)
    told |= {"peak": reference.peak, "rounding_error": unit, "tolerance": rules.tolerance * unit}
    elsewhere = {
        setting.label: found[index].rounding_error
        for setting, found in evidence.own.elsewhere.items()
        if setting.device != "cpu"
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
