"""A whole export: truth first, then the artifacts, then the judgement, then the folder, whole or not at all."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import zoo_runtime
from zoo.atomic import new_folder
from zoo.errors import DifferenceError, ExportError, ZooError
from zoo.loading import Model
from zoo.refs import resolve
from zoo.registry import Entry, Registry
from zoo.specs import ExportFormat
from zoo_export import golden, manifest
from zoo_export.capture import Capture, first_line
from zoo_export.half import Half, half_capture, half_check
from zoo_export.manifest import FLOAT16, FLOAT32
from zoo_export.parity.check import PROBE, Check, make_checks, watched
from zoo_export.parity.judge import BUDGET, Comparison, passed
from zoo_export.parity.probes import make_probes
from zoo_export.parity.reference import Reference
from zoo_export.parity.sensitivity import ENOUGH
from zoo_export.parity.setting import Setting, settings_of
from zoo_export.providers import check_providers
from zoo_export.readme import readme
from zoo_export.real_images import real_images
from zoo_export.runners import judge_artifact, takes_provider
from zoo_export.sizes import all_sizes, captured_from


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
    on_stage: Callable[[str], None] = lambda stage: None,
    providers: Sequence[str] = ("cpu",),
    precision: str = FLOAT32,
    smallest: int | None = None,
) -> Exported:
    """Export `model` to the new folder `output` and prove that every artifact computes what it computes.

    Args:
        providers: of onnxruntime, in short, that artifacts are judged on; `check_providers` says whether they work.
        precision: `float32`, or `float16`: a half artifact is published once the same model is proven in float32.
        smallest: the smallest height and width that the model takes, if these are to be dynamic.

    Raises:
        DifferenceError: an artifact does not; nothing is published.
        ExportError: the model cannot be exported in a format, or a check of it would prove nothing.
        OutputError: `output` exists and `force` is not set, or cannot be written.
    """
    _refuse_same_file(formats)
    check_providers(providers)
    settings, halves = settings_of(providers), settings_of(providers, torch.float16)
    with new_folder(output, force=force, replaceable=lambda path: (path / manifest.NAME).is_file()) as folder:
        on_stage("evaluating the model in float64, and its rounding")
        real, whence = real_images(registry, model.card, data_root)
        first = Capture(model.name, model.module, model.card, dynamic_size=smallest is not None)
        sizes: list[tuple[int, int]] = []
        if smallest is not None:
            smallest = captured_from(first.program, smallest)
            sizes = all_sizes(first.program, model.module, model.card.preprocess.size, smallest)
        checks = make_checks(model.module, make_probes(model.card.preprocess, real, sizes=sizes), settings)
        own = checks[0]
        _refuse_unnamed_classes(model, own.references)
        seen = watched(checks)
        if seen.share < ENOUGH:
            raise ExportError(
                f"A check of {model.name} would prove too little: a 1 % change of {len(seen.unwatched)} of its "
                f"{seen.tensors} parameters would stay within rounding, {seen.unwatched[0]} for one.",
                "Export trained weights, or correct a forward that ignores its parameters.",
            )
        captures = [first, *(first.variant(check.module) for check in checks[1:])]
        half = None
        if precision == FLOAT16:
            half = half_check(model.name, own, halves), half_capture(captures[0])
        published, proof = captures[0], dict[str, list[Comparison]]()
        artifacts: dict[str, str] = {}
        comparisons: dict[str, list[Comparison]] = {}
        for entry in formats:
            on_stage(f"exporting {entry.spec.name}")
            artifacts[entry.spec.name] = f"model{entry.spec.suffix}"
            path = folder / artifacts[entry.spec.name]
            if half:
                own, published = half
                on_stage(f"checking it in float32 first{_where(entry, providers)}")
                proof[entry.spec.name] = _prove(entry, captures, checks, path.name, settings)
            _write(entry, published, path)
            on_stage(f"checking {path.name}{_where(entry, providers)}")
            comparisons[entry.spec.name] = (
                _check(entry, [published], [own], path, halves)
                if half
                else _check(entry, captures, checks, path, settings)
            )
        golden.write_golden(folder / golden.NAME, own.references)
        shutil.copyfile(zoo_runtime.__file__, folder / "zoo_runtime.py")
        content = manifest.build_manifest(published, artifacts, [own, *checks[1:]], comparisons, whence)
        if smallest is not None:
            content["input"]["smallest"] = smallest
        if half:
            manifest.add_proof(content, checks[0], proof)
        (folder / "README.md").write_text(readme(content, comparisons), encoding="utf-8")
        manifest.write_manifest(folder, content)
    return Exported(output, content, comparisons)


def difference(name: str, artifact: str, found: Sequence[Comparison], blamed: str = "") -> DifferenceError:
    """The error for an artifact that does not compute what the model `name` computes; `blamed` says why, if known."""
    worst = _worst(found)
    under = " with ".join(text for text in ("", worst.runner, worst.weights if worst.weights == PROBE else "") if text)
    at = f"on the probe {worst.probe}{f' ({under})' if under else ''}"
    if worst.reason:
        what = f"{at} {worst.reason}"
    else:
        image, index = worst.where or (0, 0)
        what = (
            f"{at} it is off by {worst.error:.3g}, {worst.ratio:,.0f} times PyTorch's own "
            f"rounding error where {BUDGET:g} are allowed, worst at image {image}, class {index}"
        )
    return DifferenceError(
        f"{artifact} does not compute what {name} computes: {what}.{f' {blamed}' if blamed else ''}",
        "It must not be used; what was there before is as it was.",
    )


def _refuse_same_file(formats: Sequence[Entry[ExportFormat]]) -> None:
    for index, entry in enumerate(formats):
        for other in formats[:index]:
            if entry.spec.suffix == other.spec.suffix or entry.spec.name == other.spec.name:
                raise ExportError(
                    f"{other.qualified} and {entry.qualified} cannot go into one folder: both are named "
                    f"{entry.spec.name} or write model{entry.spec.suffix}.",
                    "Export them one at a time, each to an --output of its own.",
                )


def _refuse_unnamed_classes(model: Model, references: Sequence[Reference]) -> None:
    given, named = references[0].truth.shape[1], len(model.card.classes)
    if given != named:
        raise ExportError(
            f"{model.name} gives {given} logits for an image, and its card names {named} classes.",
            "Its build must honour num_classes; report it to the author of its plugin.",
        )


def _write(entry: Entry[ExportFormat], capture: Capture, path: Path) -> None:
    write = resolve(entry, entry.spec.export)
    try:
        write(capture, path)
    except (ZooError, OSError):
        raise
    except Exception as error:
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
    entry: Entry[ExportFormat],
    captures: Sequence[Capture],
    checks: Sequence[Check],
    path: Path,
    settings: Sequence[Setting],
) -> list[Comparison]:
    """Judge the artifact at `path`, then the same export with each further set of weights, which is not kept."""
    found: list[Comparison] = []
    for capture, check in zip(captures, checks, strict=True):
        with TemporaryDirectory() as scratch:
            artifact = path if check is checks[0] else Path(scratch, path.name)
            if artifact is not path:
                _write(entry, capture, artifact)
            found += judge_artifact(entry, artifact, check.at, settings, check.weights)
            if not passed(found):  # while the artifact is still there
                raise difference(capture.name, path.name, found, _blamed(entry, capture, check, artifact, found))
    return found


def _prove(
    entry: Entry[ExportFormat],
    captures: Sequence[Capture],
    checks: Sequence[Check],
    name: str,
    settings: Sequence[Setting],
) -> list[Comparison]:
    """Judge a float32 artifact that is not kept."""
    with TemporaryDirectory() as scratch:
        _write(entry, captures[0], Path(scratch, name))
        return _check(entry, captures, checks, Path(scratch, name), settings)


def _where(entry: Entry[ExportFormat], providers: Sequence[str]) -> str:
    """Where an artifact is checked, if not on the CPU, which goes without saying."""
    if tuple(providers) == ("cpu",):
        return ""
    return (
        f" on {', '.join(providers)}" if takes_provider(entry) else " on the CPU, the only place that its format knows"
    )


def _blamed(
    entry: Entry[ExportFormat], capture: Capture, check: Check, artifact: Path, found: Sequence[Comparison]
) -> str:
    """What is to blame for a difference, for the one format whose hops are known; empty where it cannot be said."""
    if entry.spec.export != "zoo_export.onnx_format:export" or isinstance(capture.module, Half):
        return ""
    from zoo_export.parity.blame import sentence  # only where it is needed: it loads onnxruntime

    failed = _worst(found)
    return next((sentence(capture, artifact, told) for told in check.references if told.probe.name == failed.probe), "")


def _worst(found: Sequence[Comparison]) -> Comparison:
    return max(found, key=lambda comparison: (not comparison.passed, comparison.ratio))
