"""Replay the proof of an export folder, where it now is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import DifferenceError, ExportError
from zoo.registry import Registry
from zoo.specs import ExportFormat
from zoo_export import golden
from zoo_export.folder import read_folder
from zoo_export.job import difference, load_runner
from zoo_export.parity.check import OWN
from zoo_export.parity.judge import Comparison, passed, run_and_judge


@dataclass(frozen=True)
class Verified:
    """What a replay came to, for each artifact."""

    manifest: dict[str, Any]
    comparisons: dict[str, list[Comparison]]


def verify_folder(registry: Registry, folder: Path, names: Sequence[str] = ()) -> Verified:
    """Check every file of an export folder, and run its artifacts on the golden vectors.

    Args:
        names: formats to run; all that are there, by default.

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
    comparisons: dict[str, list[Comparison]] = {}
    for name in names or artifacts:
        entry = registry.find(ExportFormat, name)
        comparisons[name] = run_and_judge(load_runner(entry, folder / artifacts[name]), references, OWN)
        if not passed(comparisons[name]):
            raise difference(manifest["name"], str(folder / artifacts[name]), comparisons[name])
    if not comparisons:
        raise DifferenceError(f"{folder} holds no artifact, so that nothing was checked.", "Export the model again.")
    return Verified(manifest, comparisons)
