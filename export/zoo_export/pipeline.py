"""A whole export: truth first, then the artifacts, then the judgement, then the folder, whole or not at all."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zoo_runtime
from zoo.contract.errors import DifferenceError, ExportError, OutputError, ZooError
from zoo.contract.specs import ExportFormat
from zoo.files.atomic import is_of_writing, new_folder
from zoo.models.load import Model
from zoo.registry.refs import resolve
from zoo.registry.registry import Entry, Registry
from zoo_export.bundle import golden, manifest
from zoo_export.bundle.certificate import build_certificate, describe_artifact
from zoo_export.bundle.readme import readme
from zoo_export.capture import Capture, first_line
from zoo_export.failures.difference import difference, worst
from zoo_export.failures.saved_failure import Failure, refuse_place, save_failure
from zoo_export.formats.onnx.providers import check_providers
from zoo_export.half import Half, half_capture
from zoo_export.options import STANDARD, ExportOptions
from zoo_export.parity.backend import FLOAT32
from zoo_export.parity.check import Check
from zoo_export.parity.evidence import gather_evidence, no_evidence
from zoo_export.parity.judge import Comparison, passed
from zoo_export.probes.sizes import all_sizes, captured_from
from zoo_export.runners import judge_artifact, takes_provider


@dataclass(frozen=True)
class Exported:
    """What an export came to: the folder, the manifest in it, and what was judged for each format."""

    path: Path
    manifest: dict[str, Any]
    comparisons: dict[str, list[Comparison]]


def export_model(
    registry: Registry,
    model: Model,
    formats: Sequence[Entry[ExportFormat]],
    output: Path,
    data_root: Path,
    *,
    force: bool = False,
    terms: ExportOptions = STANDARD,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Exported:
    """Export `model` to the new folder `output` and prove that every artifact computes what it computes.

    Raises:
        DifferenceError: an artifact does not, or a check would prove too little; nothing is published.
        ExportError: the model cannot be exported in a format.
        OutputError: `output` exists and `force` is not set, or cannot be written; likewise `terms.save`.
    """
    _refuse_same_file(formats)
    check_providers(terms.providers)
    if terms.save is not None:
        refuse_place(terms.save, terms.force, output)
    with new_folder(output, force=force, replaceable=lambda path: (path / manifest.NAME).is_file()) as folder:
        capture = Capture(model.name, model.module, model.card, dynamic_size=terms.smallest is not None)
        smallest, sizes = _sizes(capture, terms)
        if terms.verify:
            on_stage("evaluating the model in float64, and its rounding")
            evidence = gather_evidence(registry, model, data_root, terms, sizes)
            golden.write_golden(folder / golden.NAME, evidence.checks[0].references)
        else:
            evidence = no_evidence(model, capture, sizes)
        captures = [capture, *(capture.variant(check.module) for check in evidence.checks[1:])]
        published = half_capture(capture) if terms.half else capture
        artifacts: dict[str, str] = {}
        described: dict[str, Any] = {}
        comparisons: dict[str, list[Comparison]] = {}
        proof: dict[str, list[Comparison]] = {}
        for entry in formats:
            name = entry.spec.name
            artifacts[name] = f"model{entry.spec.suffix}"
            path = folder / artifacts[name]
            if evidence.half is not None:
                on_stage(f"proving {name} in float32 first{_where(entry, terms)}")
                proof[name] = _prove(entry, captures, evidence.checks, path.name, terms)
            on_stage(f"exporting {name}")
            _write(entry, published, path)
            if terms.verify:
                on_stage(f"checking {path.name}{_where(entry, terms)}")
            if evidence.half is not None:
                comparisons[name] = _check(entry, [published], [evidence.half], path, terms)
            else:
                comparisons[name] = _check(entry, captures, evidence.checks, path, terms)
            described[name] = describe_artifact(entry, path, evidence.verdict, comparisons[name])
        shutil.copyfile(zoo_runtime.__file__, folder / "zoo_runtime.py")
        certificate = build_certificate(registry, model, evidence, described, proof)
        content = manifest.build_manifest(published, terms.precision, artifacts, certificate)
        content["formats"] = {entry.spec.name: registry.short_name(entry) for entry in formats}
        if smallest is not None:
            content["input"]["smallest"] = smallest
        (folder / "README.md").write_text(readme(content, comparisons), encoding="utf-8")
        manifest.write_manifest(folder, content)
    return Exported(output, content, comparisons)


def _refuse_same_file(formats: Sequence[Entry[ExportFormat]]) -> None:
    for index, entry in enumerate(formats):
        for other in formats[:index]:
            if entry.spec.suffix == other.spec.suffix or entry.spec.name == other.spec.name:
                raise ExportError(
                    f"{other.qualified} and {entry.qualified} cannot go into one folder: both are named "
                    f"{entry.spec.name} or write model{entry.spec.suffix}.",
                    "Export them one at a time, each to an --output of its own.",
                )


def _write(entry: Entry[ExportFormat], capture: Capture, path: Path) -> None:
    write = resolve(entry, entry.spec.export)
    try:
        write(capture, path)
    except ZooError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and is_of_writing(error, path.parent):
            raise
        raise ExportError(
            f"The format {entry.spec.name} of {entry.plugin.distribution} could not export {capture.name}: "
            f"{first_line(error)}",
            "Leave it out with --format, or report it to its author.",
        ) from error
    if not path.is_file():
        raise ExportError(
            f"The format {entry.spec.name} of {entry.plugin.distribution} wrote no file.",
            f"Correct {entry.spec.export}: it must write to the path it is given.",
        )


def _sizes(capture: Capture, terms: ExportOptions) -> tuple[int | None, list[tuple[int, int]]]:
    """The smallest side that the captured graph takes, and the sizes to judge it at; nothing if they are fixed."""
    if terms.smallest is None:
        return None, []
    smallest = captured_from(capture.program, terms.smallest)
    return smallest, all_sizes(capture.program, capture.module, capture.card.preprocess.size, smallest)


def _check(
    entry: Entry[ExportFormat], captures: Sequence[Capture], checks: Sequence[Check], path: Path, terms: ExportOptions
) -> list[Comparison]:
    """Judge the artifact at `path`, then the same export with each further set of weights, which is not kept."""
    found: list[Comparison] = []
    outputs: list[tuple[Comparison, object]] = []
    for capture, check in zip(captures, checks, strict=False):
        with TemporaryDirectory() as scratch:
            artifact = path if check is checks[0] else Path(scratch, path.name)
            if artifact is not path:
                _write(entry, capture, artifact)
            found += judge_artifact(
                entry,
                artifact,
                check.at,
                terms.settings,
                check.weights,
                terms.override,
                lambda comparison, output: outputs.append((comparison, output)),
            )
            if not passed(found):  # while the artifact is still there
                raise _failed(entry, capture, check, artifact, outputs, terms)
    return found


def _prove(
    entry: Entry[ExportFormat], captures: Sequence[Capture], checks: Sequence[Check], name: str, terms: ExportOptions
) -> list[Comparison]:
    """Judge a float32 artifact that is not kept, by zoo's own tolerance."""
    with TemporaryDirectory() as scratch:
        _write(entry, captures[0], Path(scratch, name))
        return _check(entry, captures, checks, Path(scratch, name), replace(terms, precision=FLOAT32, override=None))


def _where(entry: Entry[ExportFormat], terms: ExportOptions) -> str:
    """Where an artifact is checked, if not on the CPU, which goes without saying."""
    if terms.providers == ("cpu",):
        return ""
    if takes_provider(entry):
        return f" on {', '.join(terms.providers)}"
    return " on the CPU, the only place that its format knows"


def _failed(
    entry: Entry[ExportFormat],
    capture: Capture,
    check: Check,
    artifact: Path,
    outputs: Sequence[tuple[Comparison, object]],
    terms: ExportOptions,
) -> DifferenceError:
    """The error for what was judged, once that is saved where somebody asked for it."""
    found = [comparison for comparison, _ in outputs]
    blamed = _blamed(entry, capture, check, artifact, found)
    error = difference(capture.name, artifact.name, found, blamed, terms.override)
    failed = worst(found)
    told = next((reference for reference in check.references if reference.probe.name == failed.probe), None)
    if terms.save is None or told is None:
        return error
    output = next(output for comparison, output in outputs if comparison is failed)
    failure = Failure(capture.name, entry, artifact, failed, output, told, terms.override, blamed)
    try:
        save_failure(terms.save, failure, force=terms.force)
    except OutputError as unsaved:  # the difference matters more
        return DifferenceError(f"{error.cause} It was not saved: {unsaved.cause}", error.next_step, error.details)
    step = f"{error.next_step} To see it again: python {terms.save / 'repro.py'}"
    return DifferenceError(error.cause, step, {**error.details, "saved": str(terms.save)})


def _blamed(
    entry: Entry[ExportFormat], capture: Capture, check: Check, artifact: Path, found: Sequence[Comparison]
) -> str:
    """What is to blame for a difference, for the formats whose hops are known; empty where it cannot be said."""
    if isinstance(capture.module, Half):  # what is known of the hops is known in float32
        return ""
    from zoo_export.formats.onnx.stages import sentence  # only where it is needed: it loads onnxruntime

    failed = worst(found)
    told = next(reference for reference in check.references if reference.probe.name == failed.probe)
    return sentence(entry.spec.export, capture, artifact, told)
