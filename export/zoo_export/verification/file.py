"""Check an artifact of any origin against a model."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from zoo.contract.callback import SILENT, Callback
from zoo.contract.evidence import INCONCLUSIVE, PASS, GraphComparison, Verification
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
from zoo_export.verification.recorded import (
    DEFAULT,
    recorded_acceptance,
    recorded_opset,
    recorded_pass,
    recorded_precision,
)
from zoo_export.verification.truth_model import truth_source


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
            `fp32`, the graph is always compared, because rounding may hide an error in a parameter. So it is where too
            few parameters are covered, and the manifest says that the export covered enough, with probe weights, or
            that less was accepted: the file must then be zoo's own export.
        callback: receives the progress of the comparisons.

    Returns:
        What was compared, and the coverage of that: probe weights cannot be put into a finished file.

    Raises:
        ContainmentError: it went over its limits of memory or time, or its process was ended.
        DeviceError: a device does not work here.
        DifferenceError: it does not compute what the model computes, or claims something else of it; or comparing them
            is inconclusive.
        ExportError: it does not load, or no format has its suffix.
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
    enough = covered.enough and isinstance(precision.rules, RoundingRules)
    recorded = precision.name != DEFAULT or accepted is not None
    by_graph = recorded or (not enough and recorded_pass(path))
    if strict or by_graph or graphs.is_suspicious(structure):
        opset = recorded_opset(path)
        capture = Capture(model.name, model.module, model.card, dynamic_size=dynamic_size(claims), opset=opset)
        ours = precision.rules.prepare(capture.in_precision(precision.name))
        graph = compared[entry.spec.name] = graphs.compare_graph(entry, paths, structure, ours)
        if strict:
            graphs.refuse_unexplained(graph, str(path), model.name)
        warnings += graphs.graph_warnings(graph, path.name)
    proven = by_graph and compared[entry.spec.name].proven
    verdict = PASS
    if proven and accepted is not None:
        verdict = INCONCLUSIVE
        warnings.append(accepted_by_manifest(path.name, accepted))
    if not proven and not enough:
        raise inconclusive(
            f"{path} agrees with {model.name}, but the check",
            model.name,
            covered,
            "Check it with trained weights, or export with zoo, which checks the graph with probe weights too.",
        )
    first, further = batches.split(comparisons, probes)
    return Verification(
        path,
        model.name,
        verdict,
        {entry.spec.name: first},
        strict,
        coverage=None if proven and recorded else covered,
        further={entry.spec.name: further},
        extent=batches.extent(probes),
        source=truth_source(model),
        graphs=compared,
        warnings=tuple(warnings),
        precision=precision.name,
    )
