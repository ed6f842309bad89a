"""Build the certificate of an export from what it was judged by and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from zoo.contract.evidence import (
    ArtifactRecord,
    Certificate,
    Comparison,
    PriorCheck,
    Probe,
    Verdict,
    Workaround,
)
from zoo.contract.exporting.artifact import Paths
from zoo.contract.exporting.precision_rules import PrecisionRules
from zoo.contract.formats import ExportFormat
from zoo.models.load import Model
from zoo.registry.registry import Entry, Registry
from zoo_export.bundle.provenance import architecture_of, environment, plugin_of, sha256, weights_of
from zoo_export.evidence import Evidence
from zoo_export.parity.check import covered
from zoo_export.parity.judge import unit_of
from zoo_export.precisions.fp32 import FP32
from zoo_export.probes.probe_recipe import described
from zoo_export.probes.probes import PROBE_RECIPE, SEED

PRIOR_NOTE = "the same model in float32, judged first and not kept; the coverage is that of this check"


def build_certificate(
    registry: Registry,
    model: Model,
    evidence: Evidence,
    artifacts: Mapping[str, ArtifactRecord],
    proof: Mapping[str, Sequence[Comparison]],
    rules: PrecisionRules = FP32,
) -> Certificate:
    """The certificate for the manifest.

    Args:
        artifacts: format name to what `describe_artifact` returns.
        proof: format name to what was judged in float32 first, if the precision needs that.
        rules: of the artifacts' precision.
    """
    prior = None
    if evidence.published is not None:
        prior = PriorCheck(
            "fp32",
            PRIOR_NOTE,
            {probe.name: probe.rounding_error for probe in evidence.checks[0].probes},
            {name: tuple(comparisons) for name, comparisons in proof.items()},
        )
    return Certificate(
        verdict=evidence.verdict,
        definitions=definitions(rules),
        tolerance_factor=rules.tolerance,
        override=evidence.override,
        weights=weights_of(model),
        architecture=architecture_of(registry, model.card),
        environment=environment(),
        real_images=evidence.real.source,
        seed=SEED,
        probe_recipe=PROBE_RECIPE,
        probes=tuple(_probes(model, evidence, rules)),
        coverage=covered(evidence.checks) if evidence.checks else None,
        artifacts=dict(artifacts),
        prior_check=prior,
        accepted_coverage=evidence.accepted_coverage,
    )


def definitions(rules: PrecisionRules) -> dict[str, str]:
    """What the words of the certificate mean."""
    return {
        "truth": "logits of the unmodified model, evaluated in float64",
        "rounding_error": rules.definition,
        "tolerance": f"the largest error that passes: {rules.tolerance:g} times the rounding error, unless overridden",
        "coverage": (
            "fraction of the parameter tensors in which an error of 1 % would have failed the check: all values scaled "
            "by 1.01, or, where scaling a tensor has no effect, 1 % of each value with random signs"
        ),
    }


def describe_artifact(
    entry: Entry[ExportFormat],
    paths: Paths,
    verdict: Verdict,
    comparisons: Sequence[Comparison],
    workarounds: Sequence[Workaround] = (),
) -> ArtifactRecord:
    """One artifact: verdict, hashes of its files, plugin of its format, what was compared, and faults avoided."""
    hashes = {path.name: sha256(path) for path in paths.existing}
    return ArtifactRecord(verdict, hashes, plugin_of(entry), tuple(comparisons), tuple(workarounds))


def files_by_role(paths: Paths) -> dict[str, str]:
    """The names of the files that an artifact has, by role, the main one first."""
    return {role: path.name for role, path in paths.files.items() if path.is_file()}


def _probes(model: Model, evidence: Evidence, rules: PrecisionRules) -> list[Probe]:
    """The probes as the certificate stores them, with the rounding errors on every backend."""
    preprocess, names, own = model.card.preprocess, evidence.real.names, evidence.own
    if own is None:
        return [described(probe, preprocess, names) for probe in evidence.probes]
    elsewhere = {backend.label: known for backend, known in own.elsewhere.items() if backend.device != "cpu"}
    return [
        replace(
            described(probe, preprocess, names),
            rounding_error=unit_of(probe, rules),
            tolerance_factor=rules.tolerance,
            rounding_errors={label: known[index].rounding_error for label, known in elsewhere.items()},
        )
        for index, probe in enumerate(own.probes)
    ]
