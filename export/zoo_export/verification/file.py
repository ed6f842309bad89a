"""Check an artifact of any origin against a model."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import DifferenceError, UsageError
from zoo.contract.evidence import AGREES, INCONCLUSIVE, PASS, GraphComparison, Verdict, Verification
from zoo.contract.evidence.coverage import ENOUGH
from zoo.models.load import Model
from zoo.registry.registry import Registry
from zoo_export.artifacts import artifact_paths, format_of
from zoo_export.blame.blame import blame_sentence
from zoo_export.blame.contained import blame_in_child
from zoo_export.capture import Capture
from zoo_export.devices import check_devices
from zoo_export.failures.difference import difference, inconclusive, worst
from zoo_export.failures.unverified import accepted_by_manifest
from zoo_export.installation import installation_warnings
from zoo_export.parity.check import OWN
from zoo_export.parity.coverage import coverage
from zoo_export.parity.judge import passed
from zoo_export.precisions.fp32 import RoundingRules
from zoo_export.precisions.in_use import PrecisionInUse, find_precision
from zoo_export.probes.probes import make_probes
from zoo_export.probes.real_images import real_images
from zoo_export.runners import judge_artifact, opened, try_reading
from zoo_export.truth.reference import make_references
from zoo_export.verification import graphs
from zoo_export.verification.batches import Batches, draw_for, mixes_images, refuse_large
from zoo_export.verification.claims import (
    check_claims,
    dynamic_size,
    fixed_batch,
    not_compared,
    not_stated,
    read_claims,
)
from zoo_export.verification.file_coverage import Covered, FileCheck, cover_own_export, cover_with_replaced_tensors
from zoo_export.verification.recorded import (
    DEFAULT,
    recorded_acceptance,
    recorded_opset,
    recorded_pass,
    recorded_precision,
)
from zoo_export.verification.truth_model import truth_source

NEXT_STEP = "Check it with trained weights, or export with zoo, which checks the graph with probe weights too."


def verify_file(
    registry: Registry,
    path: Path,
    model: Model,
    data_root: Path,
    devices: Sequence[str] = ("cpu",),
    *,
    seed: int,
    strict: bool = False,
    trust: bool = False,
    precision: PrecisionInUse | None = None,
    min_coverage: float | None = None,
    callback: Callback = SILENT,
) -> Verification:
    """Check an artifact, whether zoo made it or not, against the model that it should compute.

    Args:
        path: its suffix says the format.
        model: that it should compute.
        devices: that it is run on.
        seed: of the fresh images and of their batches.
        strict: compare the graph with zoo's own export too, and refuse choices that this one does not make.
        trust: run it in this process, without limits, instead of in one of its own.
        precision: of the file; by default the one of the manifest beside it, or else `fp32`. In another precision than
            `fp32`, the graph is always compared, because rounding may hide an error in a tensor, and the file must be
            zoo's own export. The graph is also compared where the own weights cover too few tensors: of zoo's own
            export, the manifest may record that it covered enough, with probe weights, or that less was accepted.
        min_coverage: the fraction of the parameter tensors that must be covered, 0 to 1; the manifest is then not
            asked. By default, any but none is enough for the verdict `agrees`.
        callback: receives the progress of the comparisons.

    Returns:
        What was compared, and the coverage of that. Where the own weights cover too few tensors, probe weights are put
        into a copy of the file, or into a new export if the file is one; see `file_coverage`. The verdict is `agrees`
        where that does not cover enough either.

    Raises:
        ContainmentError: it went over its limits of memory or time, or its process was ended.
        DeviceError: a device does not work here.
        DifferenceError: it does not compute what the model computes, or claims something else of it; or comparing them
            is inconclusive.
        ExportError: it does not load, or no format has its suffix.
        UsageError: `min_coverage` is set for another precision than `fp32`.
    """
    entry = format_of(registry, path)
    paths = artifact_paths(entry, path)
    for text in installation_warnings([entry]):
        callback.on_message(text, warning=True)
    check_devices([entry], devices)
    counted = None if trust else try_reading(entry, paths)
    claims = read_claims(entry, paths)
    check_claims(claims, str(path), model)
    refuse_large(fixed_batch(claims), model.preprocess.input_shape, str(path))
    structure = graphs.read_structure(entry, paths, counted)
    precision = precision or find_precision(registry, recorded_precision(path))
    if min_coverage is not None and precision.name != DEFAULT:
        raise UsageError(
            f"--min-coverage is for files in {DEFAULT}, and {path} is checked in {precision.name}.",
            "Leave out --min-coverage: a file in another precision must be zoo's own export.",
        )
    backends = precision.backends(dict.fromkeys(("cpu", *devices)))
    with opened(entry, paths, devices, trust=trust) as load:
        seeded = make_probes(model.preprocess, real_images(registry, model.card, data_root).images)
        drawn, real = draw_for(registry, model.card, precision, data_root, seed)
        probes = make_references(model.module, [*seeded, *drawn])
        known = precision.probes(model.name, model.module, probes, backends)
        apart = not drawn or mixes_images(model.module, probes, seed)
        batches = Batches(seed, len(seeded), fixed_batch(claims), real, apart)
        judged_on = [backend for backend in backends if backend.device in devices]
        comparisons = judge_artifact(
            entry,
            paths,
            lambda backend: batches.all(known[backend]),
            judged_on,
            OWN,
            rules=precision.rules,
            load=load,
            dealt=batches.is_dealt,
            callback=callback,
        )
    if not passed(comparisons):
        failed = next(probe for probe in batches.all(probes) if probe.name == worst(comparisons).probe)
        capture = Capture(model.name, model.module, model.card)
        blame = partial(blame_sentence, own=False) if trust else blame_in_child
        blamed = blame(entry, capture, paths, failed) if precision.name == DEFAULT else ""
        raise difference(model.name, str(path), comparisons, blamed, rules=precision.rules)
    compared: dict[str, GraphComparison] = {}
    warnings = [*not_stated(claims, path.name), *not_compared(model, claims)]
    accepted = recorded_acceptance(path)
    covered = coverage(model.module, known[judged_on[0]][: len(seeded)])
    enough = isinstance(precision.rules, RoundingRules) and covered.fraction >= max(ENOUGH, min_coverage or 0)
    recorded = precision.name != DEFAULT or accepted is not None
    by_graph = recorded or not enough
    if strict or by_graph or graphs.is_suspicious(structure):
        opset = recorded_opset(path)
        capture = Capture(model.name, model.module, model.card, dynamic_size=dynamic_size(claims), opset=opset)
        ours = precision.rules.prepare(capture.in_precision(precision.name))
        graph = compared[entry.spec.name] = graphs.compare_graph(entry, paths, structure, ours)
        if strict:
            graphs.refuse_unexplained(graph, str(path), model.name)
        warnings += graphs.graph_warnings(graph, path.name)
    proven = by_graph and compared[entry.spec.name].proven
    verdict: Verdict = PASS
    if proven and recorded and min_coverage is None:
        if accepted is not None:
            verdict = INCONCLUSIVE
            warnings.append(accepted_by_manifest(path.name, accepted))
    elif precision.name != DEFAULT and not enough:
        raise inconclusive(f"{path} agrees with {model.name}, but the check", model.name, covered, NEXT_STEP)
    elif not enough and not (proven and min_coverage is None and recorded_pass(path)):
        graph = compared[entry.spec.name]
        file = FileCheck(entry, paths, model, seeded, covered, judged_on, batches, trust, callback)
        total = Covered(covered)
        if proven:
            total = cover_own_export(file, ours)
        elif entry.spec.replace and not strict and not graph.extra:
            total = cover_with_replaced_tensors(file)
        covered = total.coverage
        verdict = _conclude(str(path), model.name, total, graph, strict=strict, min_coverage=min_coverage)
        if total.differs:
            warnings.append(f"{path.name}: with probe weights in its tensors, {total.differs}.")
    first, further = batches.split(comparisons, probes)
    return Verification(
        path,
        model.name,
        verdict,
        {entry.spec.name: first},
        strict,
        coverage=None if proven and recorded and min_coverage is None else covered,
        further={entry.spec.name: further},
        extent=batches.extent(probes),
        source=truth_source(model),
        graphs=compared,
        warnings=tuple(warnings),
        precision=precision.name,
    )


def _conclude(
    path: str, model: str, total: Covered, graph: GraphComparison, *, strict: bool, min_coverage: float | None
) -> Verdict:
    """The verdict on a file that agrees with the model, and whose own weights cover too little.

    Unless the user names the coverage that is enough, `agrees` needs a graph that makes no choices of its own, and no
    disagreement with probe weights.

    Raises:
        DifferenceError: with the verdict `inconclusive`.
    """
    covered = total.coverage
    if covered.fraction >= max(ENOUGH, min_coverage or 0):
        return PASS
    if strict or not covered.fraction > 0 or covered.fraction < (min_coverage or 0):
        step = NEXT_STEP if min_coverage is None or strict else f"{NEXT_STEP[:-1]}; or use a lower --min-coverage."
        raise inconclusive(f"{path} agrees with {model}, but the check", model, covered, step)
    if min_coverage is None and (total.differs or graph.extra):
        raise _doubtful(path, model, total, graph)
    return AGREES


def _doubtful(path: str, model: str, total: Covered, graph: GraphComparison) -> DifferenceError:
    """The error for a file that little coverage speaks for, and something else against."""
    percent = math.floor(100 * total.coverage.fraction)
    against = (
        f"with probe weights in its tensors, {total.differs}"
        if total.differs
        else f"its graph has {graphs.describe(graph.extra)}, which zoo's own export of the model has not"
    )
    return DifferenceError(
        f"{path} agrees with {model}, but the check is inconclusive: it covers {percent} % of the "
        f"{total.coverage.tensors} parameter tensors, and {against}.",
        f"Export the model with zoo. If you know why, --min-coverage {percent / 100:g} accepts that coverage.",
        {
            "verdict": INCONCLUSIVE,
            "model": model,
            "coverage": total.coverage.to_dict(),
            "graph": graph.to_dict(),
            "with_probe_weights": total.differs,
        },
    )
