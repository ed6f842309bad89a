"""A whole export: truth first, then the artifacts, then the judgement, then the folder, whole or not at all."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zoo_runtime
from zoo.atomic import is_of_writing, new_folder
from zoo.errors import DifferenceError, ExportError, OutputError, ZooError
from zoo.loading import Model
from zoo.refs import resolve
from zoo.registry import Entry, Registry
from zoo.specs import ExportFormat
from zoo_export import golden, manifest
from zoo_export.capture import Capture, first_line
from zoo_export.certificate import build_certificate, describe_artifact
from zoo_export.evidence import Evidence, gather_evidence, no_evidence
from zoo_export.failure import difference, worst
from zoo_export.parity.check import Check
from zoo_export.parity.judge import Comparison, passed, run_and_judge
from zoo_export.parity.override import Override
from zoo_export.readme import readme
from zoo_export.saved_failure import Failure, refuse_place, save_failure


@dataclass(frozen=True)
class Exported:
    """What an export came to: the folder, the manifest in it, and what was judged for each format."""

    path: Path
    manifest: dict[str, Any]
    comparisons: dict[str, list[Comparison]]


@dataclass(frozen=True)
class Terms:
    """What a person may say of how an export is judged.

    Args:
        verify: whether it is judged at all.
        override: tolerances in place of the derived budget.
        save: the folder to make where an artifact fails its check.
        force: whether `save` may be replaced.
    """

    verify: bool = True
    override: Override | None = None
    save: Path | None = None
    force: bool = False


STANDARD = Terms()


def export_model(
    registry: Registry,
    model: Model,
    formats: Sequence[Entry[ExportFormat]],
    output: Path,
    data_root: Path,
    *,
    force: bool = False,
    terms: Terms = STANDARD,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Exported:
    """Export `model` to the new folder `output` and prove that every artifact computes what it computes.

    Raises:
        DifferenceError: an artifact does not, or a check would prove too little; nothing is published.
        ExportError: the model cannot be exported in a format.
        OutputError: `output` exists and `force` is not set, or cannot be written; likewise `terms.save`.
    """
    _refuse_same_file(formats)
    if terms.save is not None:
        refuse_place(terms.save, terms.force, output)
    with new_folder(output, force=force, replaceable=lambda path: (path / manifest.NAME).is_file()) as folder:
        capture = Capture(model.name, model.module, model.card)
        if terms.verify:
            on_stage("evaluating the model in float64, and its rounding")
            evidence = gather_evidence(registry, model, data_root, terms.override)
            golden.write_golden(folder / golden.NAME, evidence.checks[0].references)
        else:
            evidence = no_evidence(model, capture)
        captures = [capture, *(capture.variant(check.module) for check in evidence.checks[1:])]
        artifacts: dict[str, str] = {}
        described: dict[str, Any] = {}
        comparisons: dict[str, list[Comparison]] = {}
        for entry in formats:
            name = entry.spec.name
            on_stage(f"exporting {name}")
            artifacts[name] = f"model{entry.spec.suffix}"
            path = folder / artifacts[name]
            _write(entry, capture, path)
            if terms.verify:
                on_stage(f"checking {path.name}")
            comparisons[name] = _check(entry, captures, evidence, path, terms)
            described[name] = describe_artifact(entry, path, evidence.verdict, comparisons[name])
        shutil.copyfile(zoo_runtime.__file__, folder / "zoo_runtime.py")
        content = manifest.build_manifest(capture, artifacts, build_certificate(registry, model, evidence, described))
        content["formats"] = {entry.spec.name: registry.full_name(entry) for entry in formats}
        (folder / "README.md").write_text(readme(content, comparisons), encoding="utf-8")
        manifest.write_manifest(folder, content)
    return Exported(output, content, comparisons)


def load_runner(entry: Entry[ExportFormat], path: Path) -> Callable[..., Any]:
    """The runner of a format, on an artifact.

    Raises:
        ExportError: it does not load, or the plugin's code raised.
    """
    try:
        runner: Callable[..., Any] = resolve(entry, entry.spec.runner)(path)
    except ZooError:
        raise
    except Exception as error:
        raise ExportError(
            f"{path.name} could not be loaded by the format {entry.spec.name}: {first_line(error)}",
            f"Report it to the author of {entry.plugin.distribution}.",
        ) from error
    return runner


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


def _check(
    entry: Entry[ExportFormat], captures: Sequence[Capture], evidence: Evidence, path: Path, terms: Terms
) -> list[Comparison]:
    """Judge the artifact at `path`, then the same export with each further set of weights, which is not kept."""
    found: list[Comparison] = []
    outputs: list[tuple[Comparison, object]] = []
    for capture, check in zip(captures, evidence.checks, strict=False):
        with TemporaryDirectory() as scratch:
            artifact = path if check is evidence.checks[0] else Path(scratch, path.name)
            if artifact is not path:
                _write(entry, capture, artifact)
            found += run_and_judge(
                load_runner(entry, artifact),
                check.references,
                check.weights,
                evidence.override,
                lambda comparison, output: outputs.append((comparison, output)),
            )
            if not passed(found):  # while the artifact is still there
                raise _failed(entry, capture, check, artifact, outputs, terms)
    return found


def _failed(
    entry: Entry[ExportFormat],
    capture: Capture,
    check: Check,
    artifact: Path,
    outputs: Sequence[tuple[Comparison, object]],
    terms: Terms,
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
    from zoo_export.parity.blame import sentence  # only where it is needed: it loads onnxruntime

    failed = worst(found)
    told = next(reference for reference in check.references if reference.probe.name == failed.probe)
    return sentence(entry.spec.export, capture, artifact, told)
