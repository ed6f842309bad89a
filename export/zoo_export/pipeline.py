"""A whole export: truth first, then each artifact and its check, then the folder, all of it or nothing."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import zoo_runtime
from zoo.contract.callback import SILENT, Callback
from zoo.contract.errors import DifferenceError, OutputError
from zoo.contract.evidence import PASS, UNVERIFIED, Artifact, ArtifactRecord, Comparison, Export
from zoo.contract.exporting.artifact import Capture, Paths
from zoo.contract.exporting.options import STANDARD, ExportOptions
from zoo.contract.formats import ExportFormat
from zoo.files.atomic import new_folder
from zoo.files.claim import claimed
from zoo.models.load import Model
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry, Registry
from zoo_export import capture as captures
from zoo_export.artifacts import export_checked, refuse_opset, refuse_precision, refuse_same_files, workarounds_of
from zoo_export.blame.blame import blame_sentence
from zoo_export.bundle import golden, manifest
from zoo_export.bundle.certificate import build_certificate, describe_artifact, files_by_role
from zoo_export.bundle.labels import write_labels
from zoo_export.bundle.names_of_files import README, RUNTIME
from zoo_export.bundle.preprocessed import preprocessed_arrays
from zoo_export.bundle.readme import readme
from zoo_export.devices import check_devices, usable_devices
from zoo_export.evidence import gather_evidence, no_evidence
from zoo_export.failures.difference import difference, worst
from zoo_export.failures.saved_failure import Failure, refuse_place, save_failure
from zoo_export.failures.unverified import warning, warnings_of
from zoo_export.installation import installation_warnings
from zoo_export.parity.check import Check
from zoo_export.parity.judge import passed
from zoo_export.precisions.in_use import PrecisionInUse, find_precision
from zoo_export.probes.sizes import all_sizes, captured_from, smallest_size
from zoo_export.runners import in_process, judge_artifact
from zoo_export.truth.backend import Backend


def export_model(
    registry: Registry,
    model: Model,
    formats: Sequence[Entry[ExportFormat]],
    output: Path,
    data_root: Path,
    options: ExportOptions = STANDARD,
    callback: Callback = SILENT,
) -> Export:
    """Export `model` to the new folder `output`, and prove that every artifact computes what the model computes.

    Args:
        model: no plugin needs to have built it.
        data_root: where the data set that the card names may lie; its images are among the probes.
        callback: receives a message at the beginning of each stage, the progress of each check, and warnings.

    Raises:
        DeviceError: a device does not work here, or no format knows it.
        DifferenceError: an artifact differs from the model, or its check would prove too little. Nothing is published.
        ExportError: the model cannot be exported in a format or precision.
        OutputError: `output` or `options.save_failure` exists and may not be replaced, or cannot be written; or
            another process exports to `output`.
    """
    refuse_same_files(formats)
    refuse_precision(formats, options.precision)
    refuse_opset(formats, options.opset)
    for text in installation_warnings(formats):
        callback.on_message(text, warning=True)
    check_devices(formats, options.devices)
    precision = find_precision(registry, options.precision)
    if options.save_failure is not None:
        refuse_place(options.save_failure, options.force, output)
    early = warning(PASS if options.verify else UNVERIFIED, options.override)
    if early:
        callback.on_message(early, warning=True)
    with (
        claimed(output),
        new_folder(output, force=options.force, replaceable=lambda path: (path / manifest.NAME).is_file()) as folder,
    ):
        capture = captures.Capture(
            model.name, model.module, model.card, dynamic_size=options.dynamic_size, opset=options.opset
        )
        smallest, sizes = _sizes(registry, model, capture, options)
        if options.verify:
            callback.on_message("evaluating the model in float64, and its rounding")
            evidence = gather_evidence(registry, model, data_root, options, sizes, precision)
            images = preprocessed_arrays(capture.preprocess)
            golden.write_golden(folder / golden.NAME, evidence.checks[0].probes, images)
        else:
            evidence = no_evidence(model, capture, sizes)
        own: list[Capture] = [capture, *(capture.with_weights(check.module) for check in evidence.checks[1:])]
        published = precision.rules.prepare(capture.in_precision(precision.name))
        artifacts: dict[str, Artifact] = {}
        described: dict[str, ArtifactRecord] = {}
        comparisons: dict[str, list[Comparison]] = {}
        proof: dict[str, list[Comparison]] = {}
        sections: list[str] = []
        for entry in formats:
            name, paths = entry.spec.name, entry.spec.paths(folder)
            if evidence.published is not None:
                callback.on_message(f"proving {name} in float32 first{_where(entry, options)}")
                proof[name] = _prove(entry, own, evidence.checks, replace(options, override=None), callback)
            callback.on_message(f"exporting {name}")
            export = resolve(entry, entry.spec.export)
            with export_checked(entry, published, paths):
                workarounds = workarounds_of(entry, export(published, paths))
            if options.verify:
                callback.on_message(f"checking {paths.main.name}{_where(entry, options)}")
            if evidence.published is not None:
                comparisons[name] = _check(
                    entry, [published], [evidence.published], paths, precision, options, callback
                )
            else:
                comparisons[name] = _check(entry, own, evidence.checks, paths, precision, options, callback)
            opset = options.opset if entry.spec.opsets else None
            artifacts[name] = Artifact(files_by_role(paths), registry.short_name(entry), opset)
            described[name] = describe_artifact(entry, paths, evidence.verdict, comparisons[name], workarounds)
            sections += [resolve(entry, entry.spec.readme)(paths)] if entry.spec.readme else []
        shutil.copyfile(zoo_runtime.__file__, folder / RUNTIME)
        write_labels(folder, capture.labels)
        certificate = build_certificate(registry, model, evidence, described, proof, precision.rules)
        packages = [package for entry in formats for package in entry.spec.requires]
        content = manifest.build_manifest(published, artifacts, certificate, packages, smallest)
        text = readme(content, comparisons, sections, precision.rules)
        (folder / README).write_text(text, encoding="utf-8")
        content = manifest.write_manifest(folder, content)
    for text in warnings_of(content):
        if text != early:
            callback.on_message(text, warning=True)
    return Export(output, content, comparisons)


def _sizes(
    registry: Registry, model: Model, capture: Capture, options: ExportOptions
) -> tuple[int | None, list[tuple[int, int]]]:
    """The smallest side that the captured graph takes, and the sizes to judge it at; nothing if they are fixed."""
    if not options.dynamic_size:
        return None, []
    declared = options.min_size or smallest_size(registry, model)
    smallest = captured_from(capture.program, declared)
    return smallest, all_sizes(capture.program, capture.module, capture.preprocess.size, smallest)


def _prove(
    entry: Entry[ExportFormat],
    own: Sequence[Capture],
    checks: Sequence[Check],
    options: ExportOptions,
    callback: Callback,
) -> list[Comparison]:
    """Judge a float32 artifact that is not kept, by the default tolerance."""
    with TemporaryDirectory() as scratch:
        paths = entry.spec.paths(Path(scratch))
        with export_checked(entry, own[0], paths):
            resolve(entry, entry.spec.export)(own[0], paths)
        return _check(entry, own, checks, paths, PrecisionInUse(), options, callback)


def _check(
    entry: Entry[ExportFormat],
    own: Sequence[Capture],
    checks: Sequence[Check],
    paths: Paths,
    precision: PrecisionInUse,
    options: ExportOptions,
    callback: Callback,
) -> list[Comparison]:
    """Judge the artifact at `paths`, then the same export with each further set of weights, which is not kept."""
    comparisons: list[Comparison] = []
    outputs: list[tuple[Comparison, object, Backend]] = []
    for capture, check in zip(own, checks, strict=False):
        with TemporaryDirectory() as scratch:
            artifact = paths if check is checks[0] else entry.spec.paths(Path(scratch))
            if artifact is not paths:
                with export_checked(entry, capture, artifact):
                    resolve(entry, entry.spec.export)(capture, artifact)
            comparisons += judge_artifact(
                entry,
                artifact,
                check.at,
                precision.backends(options.devices),
                check.weights,
                options.override,
                lambda *row: outputs.append(row),
                precision.rules,
                in_process(entry, artifact),
                callback=callback,
            )
            if not passed(comparisons):  # while the artifact is still there
                raise _failed(entry, capture, check, artifact, outputs, precision, options)
    return comparisons


def _where(entry: Entry[ExportFormat], options: ExportOptions) -> str:
    """Where an artifact is checked, if not on the CPU because nothing else was asked for."""
    if options.devices == ("cpu",):
        return ""
    return f" on {', '.join(usable_devices(entry, options.devices))}"


def _failed(
    entry: Entry[ExportFormat],
    capture: Capture,
    check: Check,
    paths: Paths,
    outputs: Sequence[tuple[Comparison, object, Backend]],
    precision: PrecisionInUse,
    options: ExportOptions,
) -> DifferenceError:
    """The error for an artifact that failed, once the failure is saved where that was asked for."""
    comparisons = [comparison for comparison, _, _ in outputs]
    failed = worst(comparisons)
    probe = next((probe for probe in check.probes if probe.name == failed.probe), None)
    ran = next(((output, backend) for comparison, output, backend in outputs if comparison is failed), None)
    blamed = ""
    if probe is not None:
        blamed = blame_sentence(entry, capture, paths, probe, precision.rules)
    error = difference(capture.name, paths.main.name, comparisons, blamed, options.override, precision.rules)
    if options.save_failure is None or probe is None or ran is None:
        return error
    output, backend = ran
    failure = Failure(capture.name, entry, paths, failed, output, probe, options.override, precision, backend, blamed)
    try:
        save_failure(options.save_failure, failure, force=options.force)
    except OutputError as unsaved:  # the difference matters more
        return DifferenceError(f"{error.cause} It was not saved: {unsaved.cause}", error.next_step, error.details)
    step = f"{error.next_step} To see it again: python {options.save_failure / 'repro.py'}"
    return DifferenceError(error.cause, step, {**error.details, "saved": str(options.save_failure)})
