"""Check every file of an export folder, and run its artifacts on stored and on fresh images."""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.evidence import (
    INCONCLUSIVE,
    PASS,
    UNVERIFIED,
    Comparison,
    Coverage,
    GraphComparison,
    Manifest,
    Override,
    Probe,
    TruthSource,
    Verdict,
    Verification,
)
from zoo.contract.exporting.artifact import Capture, Paths
from zoo.contract.exporting.inspection import Structure
from zoo.contract.formats import ExportFormat
from zoo.contract.preprocess import MAX_PIXELS
from zoo.files import folders
from zoo.models.load import Model
from zoo.registry.registry import Entry, Registry
from zoo_export import capture as captures
from zoo_export.artifacts import artifact_paths, recorded_format
from zoo_export.bundle import golden
from zoo_export.bundle.files_of_folder import other_runtime, refuse_unlisted
from zoo_export.bundle.folder import read_folder, uncovered_card
from zoo_export.bundle.labels import check_labels
from zoo_export.bundle.preprocessed import check_preprocessing
from zoo_export.devices import check_devices
from zoo_export.failures.difference import difference, inconclusive
from zoo_export.failures.unverified import unverified
from zoo_export.installation import installation_warnings
from zoo_export.parity.check import OWN
from zoo_export.parity.coverage import coverage
from zoo_export.parity.judge import passed
from zoo_export.precisions.fp32 import RoundingRules
from zoo_export.precisions.in_use import PrecisionInUse, find_precision
from zoo_export.probes.fresh import new_seed
from zoo_export.probes.probe_recipe import input_digest
from zoo_export.probes.probes import make_probes
from zoo_export.runners import judge_artifact, opened, try_reading
from zoo_export.truth.backend import Backend
from zoo_export.truth.reference import make_references
from zoo_export.verification import graphs
from zoo_export.verification.batches import Batches, draw_for, mixes_images
from zoo_export.verification.certificate_bounds import refuse_loose_numbers, refuse_other_errors
from zoo_export.verification.claims import (
    check_card,
    check_claims,
    check_manifest,
    check_names,
    not_compared,
    not_stated,
    read_claims,
)
from zoo_export.verification.readme import check_readme
from zoo_export.verification.truth_model import exported_model, truth_source


@dataclass(frozen=True)
class Truth:
    """What the artifacts of a folder are judged by.

    Args:
        known: every probe with its rounding error, by backend; the stored ones first.
        batches: that they are run in.
        model: that truth was computed with; `None` if it was read from the folder.
    """

    known: Mapping[Backend, Sequence[Probe]]
    batches: Batches
    verdict: Verdict = PASS
    override: Override | None = None
    model: Model | None = None
    coverage: Coverage | None = None
    source: TruthSource | None = None
    warnings: tuple[str, ...] = ()


def verify_folder(
    registry: Registry,
    folder: Path,
    names: Sequence[str] = (),
    *,
    strict: bool = False,
    against: Model | str | None = None,
    devices: Sequence[str] = ("cpu",),
    data_root: Path | None = None,
    seed: int | None = None,
    trust: bool = False,
    expect_digest: str | None = None,
    callback: Callback = SILENT,
) -> Verification:
    """Check every file of an export folder, and run its artifacts on the golden vectors and in other batches.

    Args:
        names: formats to run; by default all that are there.
        strict: compute truth and rounding errors from the weights that the manifest names or from `against`, on the
            stored images and on fresh ones; use the default tolerance, whatever override the export has; and compare
            labels, preprocessing and graphs with those of the model. A coverage that was accepted stays so: the
            verdict is `inconclusive`, and a warning says what is not covered.
        against: the model that was exported, its name, or the digest of its weights.
        devices: that the artifacts are run on.
        data_root: where the data set that the card names may lie; by default, where zoo looks.
        seed: of the fresh images and of how images are put into batches; by default one that nobody can predict.
        trust: run artifacts in this process, without limits, instead of each in one of its own.
        expect_digest: the digest that the manifest must have.
        callback: receives the progress of the comparisons.

    Raises:
        ContainmentError: an artifact went over its limits of memory or time, or its process was ended.
        DeviceError: a device does not work here.
        DifferenceError: a file was changed or is not listed, preprocessing gives other tensors than at export, an
            artifact does not compute what the model computes or claims something else, or the export was never verified
            and `strict` is not set.
        ExportError: it is not an export folder, or it does not hold a format or a rounding error that is needed.
    """
    seed = new_seed() if seed is None else seed
    manifest = read_folder(folder, expect_digest)
    refuse_unlisted(folder, manifest)
    warnings = [text for text in (other_runtime(folder, manifest), uncovered_card(manifest) if strict else "") if text]
    missing = [name for name in names if name not in manifest.artifacts]
    if missing:
        raise ExportError(f"{folder} holds no {missing[0]} artifact.", f"It holds {', '.join(manifest.artifacts)}.")
    entries = {name: recorded_format(registry, manifest.artifacts[name].format) for name in names or manifest.artifacts}
    for text in installation_warnings(list(entries.values())):
        callback.on_message(text, warning=True)
    check_devices(list(entries.values()), devices)
    check_manifest(manifest)
    paths = {name: artifact_paths(entry, folder / manifest.artifacts[name].file) for name, entry in entries.items()}
    counted: dict[str, Structure | None] = {}
    for name, entry in entries.items():
        if not trust:
            counted[name] = try_reading(entry, paths[name])
        claims = read_claims(entry, paths[name])
        check_names(claims, paths[name].main.name, manifest)
        warnings += not_stated(claims, paths[name].main.name)
    structures = {name: graphs.read_structure(entry, paths[name], counted.get(name)) for name, entry in entries.items()}
    precision = find_precision(registry, manifest.precision)
    backends = precision.backends(dict.fromkeys(("cpu", *devices)))
    judged_on = [backend for backend in backends if backend.device in devices]
    comparisons: dict[str, list[Comparison]] = {}
    with ExitStack() as stack:
        loads = {  # children begin to import while truth is computed
            name: stack.enter_context(opened(entry, paths[name], devices, trust=trust))
            for name, entry in entries.items()
        }
        if strict:
            model = exported_model(registry, manifest, against)
            for name, entry in entries.items():
                check_claims(read_claims(entry, paths[name]), paths[name].main.name, model)
            stored = _seeded(model, manifest) if manifest.verdict == UNVERIFIED else _golden(folder, manifest)
            drawn = draw_for(registry, model.card, precision, folders.data_root(data_root), seed)
            truth = _computed(manifest, model, stored, drawn, precision, backends, seed)
        elif manifest.verdict == UNVERIFIED:
            raise unverified(folder, manifest.name)
        else:
            truth = _stored(folder, manifest, precision, backends, seed)
        for name, load in loads.items():
            comparisons[name] = judge_artifact(
                entries[name],
                paths[name],
                lambda backend: truth.batches.all(truth.known[backend]),
                judged_on,
                OWN,
                truth.override,
                rules=precision.rules,
                load=load,
                dealt=truth.batches.is_dealt,
                callback=callback,
            )
            if not passed(comparisons[name]):
                artifact, rules = str(paths[name].main), precision.rules
                raise difference(manifest.name, artifact, comparisons[name], override=truth.override, rules=rules)
    if not comparisons:
        raise DifferenceError(f"{folder} holds no artifact, so nothing was checked.", "Export the model again.")
    compared: dict[str, GraphComparison] = {}
    if truth.model is not None:
        compared = _graphs(entries, paths, structures, _capture(truth.model, manifest, precision), truth, manifest)
        for name, graph in compared.items():
            warnings += graphs.graph_warnings(graph, paths[name].main.name)
    check_labels(folder, manifest)  # these come last, as what is wrong elsewhere is wrong there too
    if golden.NAME in manifest.files:
        check_preprocessing(folder / golden.NAME, manifest.preprocess)
    warnings += check_readme(registry, folder, manifest)
    probes = truth.known[backends[0]]
    halves = {name: truth.batches.split(rows, probes) for name, rows in comparisons.items()}
    return Verification(
        folder,
        manifest.name,
        truth.verdict,
        {name: first for name, (first, _) in halves.items()},
        strict,
        manifest,
        truth.coverage,
        {name: further for name, (_, further) in halves.items()},
        truth.batches.extent(probes),
        truth.source,
        compared,
        (*truth.warnings, *warnings),
        precision=manifest.precision,
    )


def _stored(
    folder: Path, manifest: Manifest, precision: PrecisionInUse, backends: Sequence[Backend], seed: int
) -> Truth:
    """The truth that is stored in the folder, once its numbers are seen to be such as a check finds."""
    stored = golden.read_golden(folder / golden.NAME, manifest.certificate.probes)
    refuse_loose_numbers(manifest.certificate, stored, precision.rules)
    known = {each: golden.stored_at(stored, each) for each in backends}
    batches = Batches(seed, len(stored), apart=not isinstance(precision.rules, RoundingRules))
    return Truth(known, batches, manifest.verdict, manifest.certificate.override)


def _computed(
    manifest: Manifest,
    model: Model,
    stored: Sequence[Probe],
    drawn: tuple[Sequence[Probe], str],
    precision: PrecisionInUse,
    backends: Sequence[Backend],
    seed: int,
) -> Truth:
    """Truth from the weights, on the stored images and on fresh ones, and what comparing on the latter covers."""
    check_manifest(manifest, model)
    renamed = check_card(manifest, model)
    fresh, real = drawn
    probes = make_references(model.module, [*stored, *fresh])
    known = precision.probes(model.name, model.module, probes, backends)
    first_check = manifest.verdict == UNVERIFIED
    covered = coverage(model.module, probes[: len(stored)] if first_check or not fresh else probes[len(stored) :])
    if first_check and not covered.enough:
        raise inconclusive(
            f"A check of {manifest.name} with its own weights alone",
            manifest.name,
            covered,
            "Export it again without --no-verify, which checks the graph with probe weights too.",
        )
    if not first_check:
        _refuse_other_truth(stored, probes, model.name)
        refuse_loose_numbers(manifest.certificate, stored, precision.rules)
        if isinstance(precision.rules, RoundingRules):
            refuse_other_errors(stored, known[backends[0]][: len(stored)])
    apart = not fresh or mixes_images(model.module, probes, seed)
    warnings = [*not_compared(model), *([renamed] if renamed else [])]
    batches = Batches(seed, len(stored), None, real, apart)
    verdict = PASS if manifest.certificate.accepted_coverage is None else INCONCLUSIVE
    return Truth(known, batches, verdict, None, model, covered, truth_source(model), tuple(warnings))


def _golden(folder: Path, manifest: Manifest) -> list[Probe]:
    return golden.read_golden(folder / golden.NAME, manifest.certificate.probes)


def _refuse_other_truth(stored: Sequence[Probe], computed: Sequence[Probe], name: str) -> None:
    """Refuse stored truth that is not what the model computes."""
    for old, new in zip(stored, computed, strict=False):
        if old.truth.shape != new.truth.shape or not np.abs(old.truth - new.truth).max() <= new.rounding_error:
            raise DifferenceError(
                f"The truth stored for the probe {old.name} is not what {name} computes.", "Export it again."
            )


def _seeded(model: Model, manifest: Manifest) -> list[Probe]:
    """The seeded probes that the manifest of an export describes which was never verified.

    Raises:
        ExportError: this zoo makes other ones.
    """
    named = [re.fullmatch(r"size-(\d{1,5})x(\d{1,5})", probe.name) for probe in manifest.certificate.probes]
    sizes = [(int(size[1]), int(size[2])) for size in named if size]
    if any(not 0 < height * width <= MAX_PIXELS for height, width in sizes):
        raise ExportError(f"{manifest.name} has a probe of more than {MAX_PIXELS:,} pixels.", "Export it again.")
    probes = make_probes(model.card.preprocess, sizes=sizes)
    made = [(probe.name, probe.n, input_digest(probe)) for probe in probes]
    if made != [(probe.name, probe.n, probe.sha256) for probe in manifest.certificate.probes]:
        raise ExportError(
            "The probes that the manifest describes are not those that this zoo makes.",
            f"Use zoo-kit {manifest.versions.get('zoo-kit', '')}, or export the model again.",
        )
    return probes


def _capture(model: Model, manifest: Manifest, precision: PrecisionInUse) -> Capture:
    """The model as it was exported, by what the manifest says of its precision and its input."""
    dynamic = isinstance(manifest.input.shape[2], str)
    opset = next((artifact.opset for artifact in manifest.artifacts.values() if artifact.opset), None)
    capture = captures.Capture(manifest.name, model.module, model.card, dynamic_size=dynamic, opset=opset)
    return precision.rules.prepare(capture.in_precision(precision.name))


def _graphs(
    entries: Mapping[str, Entry[ExportFormat]],
    paths: Mapping[str, Paths],
    structures: Mapping[str, Structure | None],
    capture: Capture,
    truth: Truth,
    manifest: Manifest,
) -> dict[str, GraphComparison]:
    """How each graph compares with zoo's own export; refused where it chooses otherwise, or too little is covered."""
    compared = {}
    for name, entry in entries.items():
        graph = compared[name] = graphs.compare_graph(entry, paths[name], structures[name], capture)
        graphs.refuse_unexplained(graph, paths[name].main.name, manifest.name)
        if not graph.proven and truth.coverage is not None and not truth.coverage.enough:
            raise inconclusive(
                f"{paths[name].main.name} agrees with {manifest.name}, but the check",
                manifest.name,
                truth.coverage,
                "Export the model again, which checks the graph with probe weights too.",
            )
    return compared
