"""Replay the proof of an export folder, where it now is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.card import Card
from zoo.errors import DifferenceError, ExportError
from zoo.loading import Fresh, is_weights, open_model
from zoo.registry import Registry
from zoo.specs import ExportFormat
from zoo_export import golden
from zoo_export.folder import read_folder
from zoo_export.job import difference, load_runner
from zoo_export.parity.check import OWN
from zoo_export.parity.judge import Comparison, passed, run_and_judge
from zoo_export.parity.reference import Reference, make_references


@dataclass(frozen=True)
class Verified:
    """What a replay came to, for each artifact."""

    manifest: dict[str, Any]
    comparisons: dict[str, list[Comparison]]


def verify_folder(
    registry: Registry, folder: Path, names: Sequence[str] = (), *, strict: bool = False, against: str | None = None
) -> Verified:
    """Check every file of an export folder, and run its artifacts on the golden vectors.

    Args:
        names: formats to run; all that are there, by default.
        strict: compute truth and floor afresh, from the weights that the manifest names or `against` says.

    Raises:
        DifferenceError: a file was changed, or an artifact does not compute what the model computes.
        ExportError: it is no export folder, or it does not hold a format asked for.
    """
    manifest = read_folder(folder)
    artifacts: dict[str, str] = manifest["artifacts"]
    missing = [name for name in names if name not in artifacts]
    if missing:
        raise ExportError(f"{folder} holds no {missing[0]} artifact.", f"It holds {', '.join(artifacts)}.")
    references = golden.read_golden(folder / golden.NAME, manifest["certificate"])
    if strict:
        references = _afresh(registry, manifest, references, against)
    comparisons: dict[str, list[Comparison]] = {}
    for name in names or artifacts:
        entry = registry.find(ExportFormat, manifest.get("formats", {}).get(name, name))
        comparisons[name] = run_and_judge(load_runner(entry, folder / artifacts[name]), references, OWN)
        if not passed(comparisons[name]):
            raise difference(manifest["name"], str(folder / artifacts[name]), comparisons[name])
    if not comparisons:
        raise DifferenceError(f"{folder} holds no artifact, so that nothing was checked.", "Export the model again.")
    return Verified(manifest, comparisons)


def _afresh(
    registry: Registry, manifest: dict[str, Any], references: Sequence[Reference], against: str | None
) -> list[Reference]:
    card = Card.from_dict(manifest["card"])
    name = against or manifest["name"]
    fresh = Fresh(
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
    computed = make_references(model.module, [reference.probe for reference in references])
    for told, found in zip(references, computed, strict=True):
        if told.truth.shape != found.truth.shape or not np.abs(told.truth - found.truth).max() <= found.floor:
            raise DifferenceError(
                f"The truth stored for the probe {told.probe.name} is not what {name} computes.", "Export it again."
            )
    return computed
