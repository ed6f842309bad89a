"""Build the certificate of an export from what it was judged by and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from zoo.contract.evidence import (
    TOLERANCE_FACTOR,
    ArtifactRecord,
    Certificate,
    Comparison,
    PriorCheck,
    Probe,
    Verdict,
)
from zoo.contract.evidence.manifest import MODEL
from zoo.contract.specs import ExportFormat
from zoo.models.load import Model
from zoo.registry.registry import Entry, Registry
from zoo_export.bundle.provenance import architecture_of, environment, plugin_of, sha256, weights_of
from zoo_export.parity.backend import FLOAT16, FLOAT32
from zoo_export.parity.check import covered
from zoo_export.parity.evidence import Evidence
from zoo_export.probes.probe_recipe import PROBE_RECIPE, described
from zoo_export.probes.probes import SEED

PRIOR_NOTE = "the same operators in float32, judged first and not kept; the coverage is that of this check"


def build_certificate(
    registry: Registry,
    model: Model,
    evidence: Evidence,
    artifacts: Mapping[str, ArtifactRecord],
    proof: Mapping[str, Sequence[Comparison]],
) -> Certificate:
    """The certificate for the manifest.

    Args:
        artifacts: format name to what `describe_artifact` returns.
        proof: for half-precision artifacts, format name to what was judged in float32 first.
    """
    prior = None
    if evidence.half is not None:
        prior = PriorCheck(
            FLOAT32,
            PRIOR_NOTE,
            {probe.name: probe.rounding_error for probe in evidence.checks[0].probes},
            {name: tuple(comparisons) for name, comparisons in proof.items()},
        )
    return Certificate(
        verdict=evidence.verdict,
        definitions=definitions(FLOAT32 if evidence.half is None else FLOAT16),
        override=evidence.override,
        weights=weights_of(model),
        architecture=architecture_of(registry, model.card),
        environment=environment(),
        real_images=evidence.real.source,
        seed=SEED,
        probe_recipe=PROBE_RECIPE,
        probes=tuple(_probes(model, evidence)),
        coverage=covered(evidence.checks) if evidence.checks else None,
        artifacts=dict(artifacts),
        prior_check=prior,
    )


def definitions(precision: str) -> dict[str, str]:
    """What the words of the certificate mean."""
    return {
        "truth": "logits of the unmodified model, evaluated in float64",
        "rounding_error": f"largest deviation from truth among {precision} evaluations that differ in rounding alone",
        "tolerance": f"{TOLERANCE_FACTOR:g} rounding errors, unless overridden",
        "coverage": "fraction of the parameter tensors in which an error of 1 % would have failed the check",
    }


def describe_artifact(
    entry: Entry[ExportFormat], path: Path, verdict: Verdict, comparisons: Sequence[Comparison]
) -> ArtifactRecord:
    """One artifact: its verdict, the hashes of its files, the plugin of its format, and what was compared."""
    hashes = {part.name: sha256(part) for part in parts(path)}
    return ArtifactRecord(verdict, hashes, plugin_of(entry), tuple(comparisons))


def parts(path: Path) -> list[Path]:
    """The files of an artifact: itself, and what its format wrote beside it under its name and a further suffix."""
    return sorted(file for file in path.parent.iterdir() if file == path or file.name.startswith(f"{path.name}."))


def files_by_role(path: Path) -> dict[str, str]:
    """The names of an artifact's files: `model` is itself, the others go by their further suffix, such as `data`."""
    return {file.name.removeprefix(f"{path.name}.") if file != path else MODEL: file.name for file in parts(path)}


def _probes(model: Model, evidence: Evidence) -> list[Probe]:
    """The probes as the certificate stores them, with the rounding errors on every provider."""
    own = evidence.own
    elsewhere = {} if own is None else {each.provider: known for each, known in own.elsewhere.items()}
    elsewhere.pop("cpu", None)
    return [
        replace(
            described(probe, model.card.preprocess, evidence.real.names),
            rounding_errors={provider: known[index].rounding_error for provider, known in elsewhere.items()},
        )
        for index, probe in enumerate(evidence.probes if own is None else own.probes)
    ]
