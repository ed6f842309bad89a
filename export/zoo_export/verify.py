"""Replay the proof of an export folder, where it now is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contract.errors import DifferenceError, ExportError
from zoo.contract.formats import ExportFormat
from zoo.files.card import Card
from zoo.files.folders import is_weights
from zoo.models.load import BuildArgs, Model, open_model
from zoo.registry.registry import Registry
from zoo_export.artifacts import artifact_paths
from zoo_export.bundle import golden
from zoo_export.bundle.folder import read_folder
from zoo_export.bundle.golden import stored_at
from zoo_export.devices import check_devices
from zoo_export.failures.difference import difference, inconclusive, unverified
from zoo_export.parity.check import OWN
from zoo_export.parity.coverage import ENOUGH, coverage
from zoo_export.parity.judge import Comparison, passed
from zoo_export.parity.override import override_of
from zoo_export.parity.reference import Reference, make_references
from zoo_export.parity.verdict import PASS, UNVERIFIED
from zoo_export.precisions.in_use import find_precision
from zoo_export.probes.probe_recipe import input_digest
from zoo_export.probes.probes import Probe, make_probes
from zoo_export.runners import judge_artifact


@dataclass(frozen=True)
class Verified:
    """What a replay came to, for each artifact, and the verdict on all: `pass` or `overridden`."""

    manifest: dict[str, Any]
    comparisons: dict[str, list[Comparison]]
    verdict: str = PASS


def verify_folder(
    registry: Registry,
    folder: Path,
    names: Sequence[str] = (),
    *,
    strict: bool = False,
    against: str | None = None,
    devices: Sequence[str] = ("cpu",),
) -> Verified:
    """Check every file of an export folder, and run its artifacts on the golden vectors.

    Args:
        names: formats to run; all that are there, by default.
        strict: compute truth and rounding error afresh, from the weights that the manifest names or `against` says, and judge
            by the derived tolerance, whatever the export was judged by.
        devices: that the artifacts are run on.

    Raises:
        DeviceError: a device does not work here.
        DifferenceError: a file was changed, an artifact does not compute what the model computes, or the export was
            never verified and `strict` is not set.
        ExportError: it is no export folder, or it does not hold a format or a rounding error asked for.
    """
    manifest = read_folder(folder)
    artifacts: dict[str, str] = manifest["artifacts"]
    missing = [name for name in names if name not in artifacts]
    if missing:
        raise ExportError(f"{folder} holds no {missing[0]} artifact.", f"It holds {', '.join(artifacts)}.")
    entries = {
        name: registry.find(ExportFormat, manifest.get("formats", {}).get(name, name)) for name in names or artifacts
    }
    check_devices(list(entries.values()), devices)
    precision = find_precision(registry, manifest.get("precision", "fp32"))
    backends = precision.backends(dict.fromkeys(("cpu", *devices)))
    if strict:
        model = _opened(registry, manifest, against)
        references, override, verdict = _afresh(model, folder, manifest), None, PASS
        known = precision.references(model.name, model.module, references, backends)
    elif manifest["verdict"] == UNVERIFIED:
        raise unverified(folder, manifest["name"])
    else:
        references = golden.read_golden(folder / golden.NAME, manifest["certificate"])
        override, verdict = override_of(manifest["certificate"]), manifest["verdict"]
        known = {each: tuple(stored_at(references, manifest["certificate"], each)) for each in backends}
    judged_on = [backend for backend in backends if backend.device in devices]
    comparisons: dict[str, list[Comparison]] = {}
    for name, entry in entries.items():
        paths = artifact_paths(entry, folder / artifacts[name])
        comparisons[name] = judge_artifact(
            entry, paths, known.__getitem__, judged_on, OWN, override, rules=precision.rules
        )
        if not passed(comparisons[name]):
            file = str(folder / artifacts[name])
            raise difference(manifest["name"], file, comparisons[name], override=override, rules=precision.rules)
    if not comparisons:
        raise DifferenceError(f"{folder} holds no artifact, so that nothing was checked.", "Export the model again.")
    return Verified(manifest, comparisons, verdict)


def _opened(registry: Registry, manifest: dict[str, Any], against: str | None) -> Model:
    card = Card.from_dict(manifest["card"])
    name = against or manifest["name"]
    fresh = BuildArgs(
        num_classes=len(card.classes),
        channels=card.preprocess.channels,
        image_size=card.preprocess.size[0],
        params=card.params or None,
    )
    model = open_model(registry, name, None if is_weights(name) else fresh)
    if model.card.digest != card.digest:
        raise DifferenceError(
            f"The weights of {name} are not those that were exported: their digest is another one.",
            "Name the right ones with --against, or export again.",
        )
    return model


def _afresh(model: Model, folder: Path, manifest: dict[str, Any]) -> list[Reference]:
    if manifest["verdict"] == UNVERIFIED:
        return _first_time(model, manifest)
    references = golden.read_golden(folder / golden.NAME, manifest["certificate"])
    computed = make_references(model.module, [reference.probe for reference in references])
    for told, found in zip(references, computed, strict=True):
        if told.truth.shape != found.truth.shape or not np.abs(told.truth - found.truth).max() <= found.rounding_error:
            raise DifferenceError(
                f"The truth stored for the probe {told.probe.name} is not what {model.name} computes.",
                "Export it again.",
            )
    return computed


def _first_time(model: Model, manifest: dict[str, Any]) -> list[Reference]:
    """Truth for an export that was never verified, on the seeded probes that its manifest describes."""
    named = (re.fullmatch(r"size-(\d+)x(\d+)", told["name"]) for told in manifest["certificate"]["probes"])
    sizes = [(int(size[1]), int(size[2])) for size in named if size]
    computed = make_references(model.module, _described(manifest, make_probes(model.card.preprocess, sizes=sizes)))
    seen = coverage(model.module, computed)
    if seen.share < ENOUGH:
        raise inconclusive(
            f"A check of {manifest['name']} with its own weights alone",
            manifest["name"],
            seen,
            "Export it again without --no-verify, which checks the graph with probe weights too.",
        )
    return computed


def _described(manifest: dict[str, Any], probes: Sequence[Probe]) -> list[Probe]:
    """`probes`, once they are known to be those of the manifest."""
    made = [(probe.name, len(probe.images), input_digest(probe)) for probe in probes]
    if made != [(told["name"], told["n"], told["sha256"]) for told in manifest["certificate"]["probes"]]:
        raise ExportError(
            "The probes that the manifest describes are not those that this zoo makes.",
            f"Use zoo-kit {manifest['versions'].get('zoo-kit', '')}, or export the model again.",
        )
    return list(probes)
